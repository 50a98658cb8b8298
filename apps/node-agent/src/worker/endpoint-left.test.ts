/** Tunnels are for endpoints of the mesh, and end with them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';

import { service, workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const LOOKS_MAX = 1_000;
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

  it('tunnels to nobody who left while its name was looked up', async () => {
    const asked = Promise.withResolvers<void>();
    const found = Promise.withResolvers<string>();
    await using rig = new WorkerRig({
      lookup: async (name) => {
        assert.equal(name, 'vm.example.com');
        asked.resolve();
        return await found.promise;
      },
    });
    const vm = service('vm', {
      addresses: [{ network: '', address: VIP }],
      ports: [{ servicePort: 80, targetPort: 80, appProtocol: 'UNKNOWN' }],
    });
    rig.workloads(workload('client', { addresses: [rig.address(1)] }));
    rig.resources({
      addresses: [
        { kind: 'service', service: vm },
        {
          kind: 'workload',
          workload: workload('server', {
            hostname: 'vm.example.com',
            services: { [`shop/${vm.hostname}`]: vm.ports },
          }),
        },
      ],
    });
    rig.certify('client');
    await rig.addPod(1, 'client');
    const client = await rig.connect(1, { address: VIP, port: 80 });
    await asked.promise;
    leave(rig);
    found.resolve(rig.address(2));
    assert.ok((await client.closed) instanceof Error);
    assert.deepEqual(
      rig.lines.filter(({ level }) => level === 'error').map(({ code }) => code),
      ['HBONE_ENDPOINT_LEFT'],
    );
    assert.deepEqual(rig.dialled, []);
  });
});
