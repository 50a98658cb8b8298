/** A root that leaves the bundle of a pod here, with a certificate that comes anew. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { TestCa } from '@ambit/testkit';

import { workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

describe('a root that is trusted no longer', () => {
  it('opens nothing more for clients of it that have a session, and is told of', async () => {
    await using rig = new WorkerRig();
    const next = new TestCa('next');
    const rootsPem = rig.ca.rootPem + next.rootPem;
    rig.workloads(
      workload('client', { addresses: [rig.address(1)] }),
      workload('server', { addresses: [rig.address(2)] }),
    );
    const certify = (name: string, ca: TestCa, roots: string): void => {
      const material = { ...ca.workload('shop', name), rootsPem: roots };
      rig.send({ kind: 'certificate', material });
    };
    certify('client', rig.ca, rootsPem);
    certify('server', next, rootsPem);
    await Promise.all([rig.addPod(1, 'client'), rig.addPod(2, 'server')]);
    const port = await rig.serve(2, (socket) => socket.pipe(socket));
    const to = { address: rig.address(2), port };
    const open = await rig.connect(1, to);
    open.conn.write(Buffer.from('x'));
    await open.until(({ bytes }) => bytes === 1);

    certify('server', next, rootsPem);
    assert.equal(rig.metric('ambit_tunnel_sessions_distrusted_total'), 0);
    certify('server', next, next.rootPem);
    assert.equal(rig.metric('ambit_tunnel_sessions_distrusted_total'), 1);
    const line = rig.line('sessions take nothing new: their root is trusted no longer');
    assert.equal(line?.['sessions'], 1);
    const later = await rig.connect(1, to);
    assert.ok((await later.closed) instanceof Error);
    open.conn.write(Buffer.from('y'));
    await open.until(({ bytes }) => bytes === 2);
  });
});
