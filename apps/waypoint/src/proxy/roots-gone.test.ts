/** A root that leaves the bundle of a waypoint, while a caller of that root has a session. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { isCollected } from '@ambit/core/testing';
import { HbonePool } from '@ambit/hbone';
import { shakeHands, TestCa, tlsOf } from '@ambit/testkit';

import { PORT, service, VIP, workload } from '../testing.ts';
import { ask, ca, client, type Rig, startRig, waypointId } from './proxy-worker.testing.ts';

describe('a waypoint that trusts a root no longer', () => {
  it('takes nothing new of a caller of it that has a session', async () => {
    await using rig = await startRig();
    rig.tell([
      { kind: 'service', service: service('HTTP11') },
      { kind: 'workload', workload: workload('reviews', rig.backendPort) },
    ]);
    const next = new TestCa('next');
    const rootsPem = ca.rootPem + next.rootPem;
    const caller = { ...client, rootsPem };
    const certificate = (roots: string) =>
      ({
        kind: 'certificate',
        material: { ...next.issue(waypointId.identity), rootsPem: roots },
      }) as const;
    rig.worker.receive(certificate(rootsPem));
    const pool = new HbonePool({
      clock: systemClock,
      identity: () => caller,
      dial: async ({ port }) => {
        const socket = connect(port, '127.0.0.1');
        await once(socket, 'connect');
        return socket;
      },
    });
    const key = {
      sourceIdentity: caller.identity,
      expectedIdentities: [waypointId.identity],
      address: '127.0.0.1',
      port: rig.port,
      sourcePod: 'x',
    };
    const tunnel = async () => (await pool.connect(key, { authority: `${VIP}:${PORT}` })).conn;
    try {
      const before = await tunnel();
      assert.ok(await tunnel());
      rig.worker.receive(certificate(next.rootPem));
      await assert.rejects(tunnel());
      assert.match(JSON.stringify(rig.lines), /their root is trusted no longer/);
      // What is open goes on to its end; the endpoints behind the waypoint are of the root that left too.
      assert.equal((await ask(before)).status, 503);
    } finally {
      pool.destroy();
    }
  });
});

describe('a waypoint whose certificate has ended without another', () => {
  it('keeps its key no longer, though nobody comes any more', async () => {
    await using rig = await startRig();
    const own = new WeakRef(renewed(rig));
    await shakeHands({ host: '127.0.0.1', port: rig.port, ...tlsOf(client) });
    rig.worker.receive({ kind: 'certificate-unavailable', reason: 'expired' });
    assert.equal(await isCollected(own), true);
  });
});

/** Told to the worker and kept nowhere else. */
function renewed({ worker }: Rig): object {
  const material = ca.issue(waypointId.identity);
  worker.receive({ kind: 'certificate', material });
  return material;
}
