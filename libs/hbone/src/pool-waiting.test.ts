import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import { TestCa } from '@ambit/testkit';

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
});
