import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { policy, service, workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const ADDRESS = '10.9.9.9';
const KEY = 'shop/web.shop.svc.cluster.local';
const ASKED = 'no answer, another endpoint is asked';
/** More than chance would let by. */
const CONNECTIONS = 24;

interface Bed {
  readonly rig: WorkerRig;
  readonly port: number;
}

/** A client, pod 2 that echoes, and a service of it and of the pods `others`, which nobody captures. */
async function bed(rig: WorkerRig, others: readonly number[]): Promise<Bed> {
  const port = await rig.serve(2, (socket) => socket.pipe(socket));
  const services = { [KEY]: [{ servicePort: 80, targetPort: port, appProtocol: 'TCP' as const }] };
  const endpoint = (name: string, pod: number) =>
    workload(name, { addresses: [rig.address(pod)], services });
  rig.workloads(
    workload('client', { addresses: [rig.address(1)] }),
    endpoint('server', 2),
    ...others.map((pod) => endpoint(`other-${pod}`, pod)),
  );
  const ports = [{ servicePort: 80, targetPort: port, appProtocol: 'TCP' as const }];
  const addresses = [{ network: '', address: ADDRESS }];
  rig.resources({
    addresses: [{ kind: 'service', service: service('web', { addresses, ports }) }],
  });
  rig.certify('client');
  rig.certify('server');
  await Promise.all([rig.addPod(1, 'client'), rig.addPod(2, 'server')]);
  return { rig, port };
}

async function echo(rig: WorkerRig): Promise<string> {
  const client = await rig.connect(1, { address: ADDRESS, port: 80 });
  client.conn.write(Buffer.from('x'));
  client.conn.end();
  await client.closed;
  return client.text;
}

interface SilentPeer extends AsyncDisposable {
  /** Resolves at the first connection. */
  readonly asked: Promise<void>;
}

/** Something that accepts tunnels of that pod and says nothing. */
async function silentPeer(rig: WorkerRig, pod: number): Promise<SilentPeer> {
  const sockets: Socket[] = [];
  const asked = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    sockets.push(socket);
    asked.resolve();
  });
  server.listen(15_008, rig.address(pod));
  await once(server, 'listening');
  return {
    asked: asked.promise,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) {
        socket.destroy();
      }
      server.close();
      await once(server, 'close');
    },
  };
}

const asked = (rig: WorkerRig) => rig.lines.filter(({ message }) => message === ASKED);

describe('a connection to a service', () => {
  it('goes to another endpoint where one is not there, and the next ones at once', async () => {
    await using rig = new WorkerRig({ clock: new FakeClock() });
    await bed(rig, [3, 4]);
    for (let i = 0; i < CONNECTIONS; i += 1) {
      assert.equal(await echo(rig), 'x');
    }
    const lines = asked(rig);
    assert.deepEqual([...new Set(lines.map((line) => line['dst.workload']))].sort(), [
      'other-3',
      'other-4',
    ]);
    assert.equal(lines.length, 2, 'once each: the others are sent elsewhere');
    assert.deepEqual(
      rig.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });

  it('asks again after a while, and goes back where it is answered', async () => {
    const clock = new FakeClock();
    await using rig = new WorkerRig({ clock });
    await bed(rig, [3]);
    while (asked(rig).length === 0) {
      assert.equal(await echo(rig), 'x');
    }
    clock.advance(10_000);
    while (asked(rig).length === 1) {
      assert.equal(await echo(rig), 'x');
    }
    assert.equal(asked(rig).length, 2);
  });

  it('does not wait long for one that says nothing while there is another', async () => {
    const clock = new FakeClock();
    await using rig = new WorkerRig({ clock });
    await bed(rig, [3]);
    await using peer = await silentPeer(rig, 3);
    let answer: Promise<string>;
    do {
      answer = echo(rig);
    } while (await Promise.race([answer, peer.asked]));
    clock.advance(5_000);
    assert.equal(await answer, 'x');
    assert.match(String(asked(rig)[0]?.['error']), /no answer within 5000 ms/);
  });

  it('waits no longer for one that says nothing and leaves', async () => {
    await using rig = new WorkerRig({ clock: new FakeClock() });
    await bed(rig, [3]);
    await using peer = await silentPeer(rig, 3);
    let answer: Promise<string>;
    do {
      answer = echo(rig);
    } while (await Promise.race([answer, peer.asked]));
    rig.send({
      kind: 'resources',
      sequence: 9,
      addresses: { changed: [], removed: ['Kubernetes//Pod/shop/other-3'] },
      authorizations: { changed: [], removed: [] },
    });
    assert.equal(await answer, 'x');
    assert.match(String(asked(rig)[0]?.['error']), /the endpoint left/);
  });

  it('waits to the end where there is no other', async () => {
    const clock = new FakeClock();
    await using rig = new WorkerRig({ clock });
    rig.workloads(
      workload('client', { addresses: [rig.address(1)] }),
      workload('other', { addresses: [rig.address(3)] }),
    );
    rig.certify('client');
    await rig.addPod(1, 'client');
    await using peer = await silentPeer(rig, 3);
    const client = await rig.connect(1, { address: rig.address(3), port: 80 });
    await peer.asked;
    clock.advance(9_999);
    assert.equal(rig.line('connection complete'), undefined);
    clock.advance(1);
    assert.ok((await client.closed) instanceof Error);
    assert.match(String(rig.line('connection complete')?.['error']), /NetworkPolicy/);
  });

  it('asks three, then them again in turn, never one twice in a row, until its time is over', async () => {
    const clock = new FakeClock();
    await using rig = new WorkerRig({ clock });
    const { port } = await bed(rig, [3, 4, 5, 6]);
    rig.workloads(workload('server', { addresses: [rig.address(2)], services: {} }));
    const client = await rig.connect(1, { address: ADDRESS, port: 80 });
    await rig.passUntilFailed(clock, 24);
    assert.equal(asked(rig).length, 2, 'a line for each of the first');
    const { dialled } = rig;
    assert.deepEqual(
      dialled.filter((one, at) => one === dialled[at - 1]),
      [],
    );
    clock.advance(10_000);
    assert.ok((await client.closed) instanceof Error);
    const lines = rig.lines.filter(({ level }) => level === 'error');
    assert.deepEqual(
      lines.map((line) => line['code']),
      ['HBONE_PEER_AWAY'],
    );
    assert.ok(port > 0);
  });

  it('takes the word of policy, and asks nobody else', async () => {
    await using rig = new WorkerRig({ clock: new FakeClock() });
    const { port } = await bed(rig, []);
    const services = {
      [KEY]: [{ servicePort: 80, targetPort: port, appProtocol: 'TCP' as const }],
    };
    const principals = [{ kind: 'suffix', value: '/sa/client' }] as const;
    rig.resources({
      policies: [policy('nobody', 'DENY', { principals }, { scope: 'WORKLOAD_SELECTOR' })],
    });
    rig.workloads(
      workload('closed', {
        addresses: [rig.address(3)],
        services,
        authorizationPolicies: ['shop/nobody'],
      }),
    );
    rig.certify('closed');
    await rig.addPod(3, 'closed');
    const answers: string[] = [];
    for (let i = 0; i < CONNECTIONS; i += 1) {
      answers.push(await echo(rig));
    }
    assert.deepEqual([...new Set(answers)].sort(), ['', 'x']);
    assert.equal(asked(rig).length, 0);
  });
});
