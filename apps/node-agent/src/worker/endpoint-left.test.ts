/** Tunnels are for endpoints of the mesh, and end with them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { WorkerRig } from './testing/worker-rig.ts';

const LOOKS_MAX = 1_000;

describe('ProxyWorker', () => {
  it('gives up the tunnel to a pod that has left once its last connection has ended', async () => {
    await using rig = new WorkerRig();
    await rig.clientAndServer();
    const port = await rig.serve(2, (socket) => socket.pipe(socket));
    const client = await rig.connect(1, { address: rig.address(2), port });
    client.conn.write(Buffer.from('x'));
    await client.until((r) => r.bytes === 1);
    rig.send({
      kind: 'resources',
      sequence: 2,
      addresses: { changed: [], removed: ['Kubernetes//Pod/shop/server'] },
      authorizations: { changed: [], removed: [] },
    });
    assert.equal(rig.metric('ambit_tunnels_open'), 1);
    client.conn.end();
    assert.equal(await client.closed, undefined);
    for (let looks = 0; looks < LOOKS_MAX && rig.metric('ambit_tunnels_open') > 0; looks += 1) {
      await rig.clock.sleep(5);
    }
    assert.equal(rig.metric('ambit_tunnels_open'), 0);
  });
});
