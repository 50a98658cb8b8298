/** The agent of the other end is away: whoever wants to go there waits for it, as long as for any connection. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { ProxyError } from '@ambit/proxy';
import { workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const CONNECTIONS = 30;

interface Bed {
  readonly rig: WorkerRig;
  readonly clock: FakeClock;
  /** Of pod 2, which no agent serves yet. */
  readonly port: number;
}

async function bed(): Promise<Bed & AsyncDisposable> {
  const clock = new FakeClock();
  const rig = new WorkerRig({ clock });
  rig.workloads(
    workload('client', { addresses: [rig.address(1)] }),
    workload('server', { addresses: [rig.address(2)] }),
  );
  rig.certify('client');
  rig.certify('server');
  await rig.addPod(1, 'client');
  const port = await rig.serve(2, (socket) => socket.pipe(socket));
  return { rig, clock, port, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

const errors = (rig: WorkerRig) => rig.lines.filter(({ level }) => level === 'error');

describe('a connection to a pod whose agent is away', () => {
  it('waits for it, all with the same dials, and is served when it is back', async () => {
    await using world = await bed();
    const { rig, clock, port } = world;
    const to = { address: rig.address(2), port };
    const clients = await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => await rig.connect(1, to)),
    );
    await rig.passUntilFailed(clock, 6);
    assert.equal(rig.dialled.length, 6, 'together, not each for itself');
    assert.equal(rig.metric('ambit_tunnel_dials_again_total'), 5);
    await rig.addPod(2, 'server');
    clock.advance(500);
    for (const { conn } of clients) {
      conn.write(Buffer.from('x'));
      conn.end();
    }
    await Promise.all(clients.map(async ({ closed }) => await closed));
    assert.deepEqual(
      clients.filter(({ text }) => text !== 'x'),
      [],
    );
    assert.deepEqual(errors(rig), []);
  });

  it('is refused at its connect timeout, and says what it has waited for', async () => {
    await using world = await bed();
    const { rig, clock } = world;
    const client = await rig.connect(1, { address: rig.address(2), port: 80 });
    await rig.passUntilFailed(clock, 4);
    clock.advance(9_999 - clock.now());
    assert.deepEqual(errors(rig), []);
    clock.advance(1);
    assert.ok((await client.closed) instanceof Error);
    const [line] = errors(rig);
    assert.equal(line?.['code'], 'HBONE_PEER_AWAY');
    assert.equal(line?.['response_flags'], 'CONNECT');
    assert.match(
      String(line?.['error']),
      /the peer's agent refused connections for 10\.0 s \(asked \d times\): .*ECONNREFUSED/,
    );
  });

  it('is refused as soon as the mesh no longer has the pod, and nothing goes there in clear', async () => {
    await using world = await bed();
    const { rig, clock, port } = world;
    const client = await rig.connect(1, { address: rig.address(2), port });
    await rig.passUntilFailed(clock, 2);
    rig.send({
      kind: 'resources',
      sequence: 9,
      addresses: { changed: [], removed: ['Kubernetes//Pod/shop/server'] },
      authorizations: { changed: [], removed: [] },
    });
    clock.advance(500);
    assert.ok((await client.closed) instanceof Error);
    assert.match(String(errors(rig)[0]?.['error']), /refused connections/);
    assert.equal(client.text, '');
  });

  it('is forgotten when its client goes', async () => {
    await using world = await bed();
    const { rig, clock } = world;
    const client = await rig.connect(1, { address: rig.address(2), port: 80 });
    await rig.passUntilFailed(clock, 2);
    client.conn.destroy(new ProxyError('PROXY_ABORTED', 'gone', { side: 'local' }));
    await rig.until(() => errors(rig).length > 0);
    assert.equal(errors(rig)[0]?.['code'], 'WORKER_CLIENT_GONE');
    const dials = rig.dialled.length;
    clock.advance(5_000);
    await new Promise(setImmediate);
    assert.ok(rig.dialled.length <= dials + 1);
  });

  it('is not asked again where somebody else answers', async () => {
    await using world = await bed();
    const { rig } = world;
    rig.certify('impostor');
    const stranger = createServer((socket) => socket.end('220 not of the mesh\r\n'));
    stranger.listen(15_008, rig.address(2));
    await once(stranger, 'listening');
    const client = await rig.connect(1, { address: rig.address(2), port: 80 });
    assert.ok((await client.closed) instanceof Error);
    assert.equal(rig.dialled.length, 1);
    assert.equal(errors(rig)[0]?.['response_flags'], 'TLS_FAILURE');
    stranger.close();
  });
});
