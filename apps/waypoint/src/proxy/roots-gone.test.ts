/** A root that leaves the bundle of a waypoint, while a caller of that root has a session. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { HbonePool } from '@ambit/hbone';
import { TestCa } from '@ambit/testkit';

import { PORT, service, VIP, workload } from '../testing.ts';
import { ask, ca, client, startRig, waypointId } from './proxy-worker.testing.ts';

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
