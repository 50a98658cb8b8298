/** Tunnels are for endpoints of the mesh, and end with them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';

import type { MeshService, Workload } from '@ambit/model';
import { WorkerError } from './errors.ts';
import { service, workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const LOOKS_MAX = 1_000;
const HOST = 'vm.example.com';
/** Of a service; nobody listens there. */
const VIP = '10.96.0.2';

/** The mesh has pod 2 no more. */
function leave(rig: WorkerRig): void {
  rig.send({
    kind: 'resources',
    sequence: 9,
    addresses: { changed: [], removed: ['Kubernetes//Pod/shop/server'] },
    authorizations: { changed: [], removed: [] },
  });
}

describe('ProxyWorker', () => {
  it('gives up the tunnel to a pod that has left once its last connection has ended', async () => {
    await using rig = new WorkerRig();
    await rig.clientAndServer();
    const port = await rig.serve(2, (socket) => socket.pipe(socket));
    const client = await rig.connect(1, { address: rig.address(2), port });
    client.conn.write(Buffer.from('x'));
    await client.until((r) => r.bytes === 1);
    leave(rig);
    assert.equal(rig.metric('ambit_tunnels_open'), 1);
    client.conn.end();
    assert.equal(await client.closed, undefined);
    for (let looks = 0; looks < LOOKS_MAX && rig.metric('ambit_tunnels_open') > 0; looks += 1) {
      await rig.clock.sleep(5);
    }
    assert.equal(rig.metric('ambit_tunnels_open'), 0);
  });

  it('refuses, at once, who waits for a tunnel to a pod that leaves', async () => {
    await using rig = new WorkerRig();
    rig.workloads(
      workload('client', { addresses: [rig.address(1)] }),
      workload('server', { addresses: [rig.address(2)] }),
    );
    rig.certify('client');
    await rig.addPod(1, 'client');
    const silent = createServer();
    silent.listen(15_008, rig.address(2));
    await once(silent, 'listening');
    const client = await rig.connect(1, { address: rig.address(2), port: 80 });
    const [socket] = await once(silent, 'connection');
    leave(rig);
    const refusals = () => rig.lines.filter(({ level }) => level === 'error');
    for (let looks = 0; looks < LOOKS_MAX && refusals().length === 0; looks += 1) {
      await new Promise(setImmediate);
    }
    assert.deepEqual(
      refusals().map(({ code }) => code),
      ['HBONE_ENDPOINT_LEFT'],
    );
    assert.ok((await client.closed) instanceof Error);
    socket.destroy();
    silent.close();
  });
});

/** A service of a workload that is known by name, in the midst of the first lookup of it. */
async function lookingUp(server: Partial<Workload> = {}) {
  const asked = Promise.withResolvers<void>();
  const found = Promise.withResolvers<string>();
  const rig = new WorkerRig({
    lookup: async (name) => {
      if (name === HOST) {
        asked.resolve();
      } else {
        asked.reject(new Error(`asked for ${name}`));
      }
      return await found.promise;
    },
  });
  const ports: MeshService['ports'] = [{ servicePort: 80, targetPort: 80, appProtocol: 'TCP' }];
  const vm = service('vm', { addresses: [{ network: '', address: VIP }], ports });
  const key = `shop/${vm.hostname}`;
  const services = { [key]: ports };
  rig.workloads(workload('client', { addresses: [rig.address(1)] }));
  rig.resources({
    addresses: [
      { kind: 'service', service: vm },
      { kind: 'workload', workload: workload('server', { hostname: HOST, services, ...server }) },
    ],
  });
  rig.certify('client');
  await rig.addPod(1, 'client');
  const client = await rig.connect(1, { address: VIP, port: 80 });
  await asked.promise;
  return { rig, client, key, services, found: () => found.resolve(rig.address(2)) };
}

const codesOf = (rig: WorkerRig) =>
  rig.lines.filter(({ level }) => level === 'error').map(({ code }) => code);

describe('while the name of an endpoint is looked up', () => {
  for (const [protocol, tunnelProtocol] of [
    ['a tunnel', 'HBONE'],
    ['plain TCP', 'NONE'],
  ] as const) {
    it(`it leaves: not dialled, by ${protocol}`, async () => {
      const { rig, client, found } = await lookingUp({ tunnelProtocol });
      await using _ = rig;
      leave(rig);
      found();
      assert.ok((await client.closed) instanceof Error);
      assert.deepEqual(codesOf(rig), ['HBONE_ENDPOINT_LEFT']);
      assert.deepEqual(rig.dialled, []);
    });
  }

  it('it begins to take tunnels: not dialled in clear', async () => {
    const { rig, client, services, found } = await lookingUp({ tunnelProtocol: 'NONE' });
    await using _ = rig;
    rig.workloads(workload('server', { hostname: HOST, services }));
    found();
    assert.ok((await client.closed) instanceof Error);
    assert.deepEqual(rig.dialled, []);
  });

  it('it leaves, and another one is there: that one is asked', async () => {
    const { rig, client, key, found } = await lookingUp();
    await using _ = rig;
    const targetPort = await rig.serve(3, (socket) => socket.pipe(socket));
    const services = { [key]: [{ servicePort: 80, targetPort, appProtocol: 'TCP' as const }] };
    rig.certify('other');
    rig.workloads(workload('other', { addresses: [rig.address(3)], services }));
    await rig.addPod(3, 'other');
    leave(rig);
    found();
    client.conn.write(Buffer.from('x'));
    await client.until((r) => r.bytes === 1);
    assert.deepEqual(codesOf(rig), []);
  });

  it('the client leaves: nothing is dialled', async () => {
    const { rig, client, found } = await lookingUp();
    await using _ = rig;
    client.conn.destroy(new WorkerError('WORKER_POD_GONE', 'a reset'));
    for (let looks = 0; looks < LOOKS_MAX && codesOf(rig).length === 0; looks += 1) {
      await new Promise(setImmediate);
    }
    found();
    await new Promise(setImmediate);
    assert.deepEqual(rig.dialled, []);
  });
});
