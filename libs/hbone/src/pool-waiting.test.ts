import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError, systemClock } from '@ambit/core';
import { TestCa } from '@ambit/testkit';

import { HbonePool } from './pool.ts';
import { TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const TO = { authority: '10.0.0.7:80' };
/** Three tunnels, one after the other. */
const BURST = 250;

async function start(waitingPerKeyMax: number): Promise<TunnelRig> {
  return await TunnelRig.start({
    server: CA.workload('shop', 'reviews'),
    client: CA.workload('shop', 'productpage'),
    onConnect: () => ({ status: 200, serve: () => undefined }),
    poolLimits: { waitingPerKeyMax },
  });
}

/** Keys that the pool keeps something for: it asks of each. */
function slotsOf(pool: HbonePool): number {
  let slots = 0;
  pool.retire(() => {
    slots += 1;
    return false;
  });
  return slots;
}

describe('callers that wait for a tunnel', () => {
  it('count once, through however many tunnels they wait', async () => {
    await using rig = await start(BURST);
    const { pool } = rig;
    await Promise.all(Array.from({ length: BURST }, async () => await pool.connect(rig.key(), TO)));
    assert.equal(pool.counters.refusedAtBound, 0);
    assert.equal(pool.counters.dials, 3);
  });

  it('are refused beyond the bound', async () => {
    await using rig = await start(BURST - 1);
    const { pool } = rig;
    const results = await Promise.allSettled(
      Array.from({ length: BURST }, async () => await pool.connect(rig.key(), TO)),
    );
    const refused = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    assert.equal(refused.length, 1);
    assert.ok(refused[0] instanceof MeshError && refused[0].code === 'HBONE_LIMIT');
  });

  it('leave nothing behind when they go before the dial fails', async () => {
    await using rig = await start(BURST);
    const failing = Promise.withResolvers<never>();
    const pool = new HbonePool({
      clock: systemClock,
      identity: () => rig.clientIdentity,
      dial: async () => await failing.promise,
    });
    const caller = new AbortController();
    const connecting = assert.rejects(pool.connect(rig.key(), { ...TO, signal: caller.signal }));
    while (pool.counters.dials === 0) await new Promise(setImmediate);
    caller.abort();
    await connecting;
    assert.equal(slotsOf(pool), 1, 'the dial is under way');
    failing.reject(new Error('nobody there'));
    while (pool.counters.dialFailures === 0) await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.equal(slotsOf(pool), 0);
  });
});
