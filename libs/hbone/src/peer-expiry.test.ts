/** A session is worth what its peer's certificate is worth, and not longer. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { TestCa } from '@ambit/testkit';

import { TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const LIFE_MS = 60_000;

describe('a tunnel whose server has an expired certificate', () => {
  it('carries nothing new, and the next one is of a renewed certificate', async () => {
    const wallStartMs = Date.now();
    const clock = new FakeClock({ wallStartMs });
    const short = CA.workload('shop', 'server', { notAfterMs: wallStartMs + LIFE_MS });
    await using rig = await TunnelRig.start({
      clock,
      server: short,
      client: CA.workload('shop', 'client', { notAfterMs: wallStartMs + 10 * LIFE_MS }),
      onConnect: () => ({ status: 403, reason: 'heard' }),
      serverLimits: { idleTimeoutMs: 10 * LIFE_MS },
      poolLimits: { unusedReleaseMs: 10 * LIFE_MS },
    });
    const connect = async (): Promise<void> =>
      await assert.rejects(rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' }), {
        status: 403,
      });
    await connect();
    clock.advance(1_000);
    await connect();
    assert.equal(rig.pool.counters.dials, 1);
    rig.serverIdentity = CA.workload('shop', 'server');
    clock.advance(LIFE_MS);
    await connect();
    assert.equal(rig.pool.counters.dials, 2);
  });
});

describe('a session whose peer has an expired certificate', () => {
  for (const [title, renewed] of [
    ['carries nothing new', false],
    ['is replaced by one of a renewed certificate', true],
  ] as const) {
    it(title, async () => {
      const wallStartMs = Date.now();
      const clock = new FakeClock({ wallStartMs });
      const short = CA.workload('shop', 'client', { notAfterMs: wallStartMs + LIFE_MS });
      let asked = 0;
      await using rig = await TunnelRig.start({
        clock,
        server: CA.workload('shop', 'server'),
        // A client that does not heed the end of its own certificate.
        client: { ...short, notAfterMs: Number.MAX_SAFE_INTEGER },
        onConnect: () => {
          asked += 1;
          return { status: 403, reason: 'heard' };
        },
        serverLimits: { idleTimeoutMs: 10 * LIFE_MS },
        poolLimits: { unusedReleaseMs: 10 * LIFE_MS },
      });
      const connect = async (): Promise<unknown> =>
        await rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' });
      await assert.rejects(connect(), { status: 403 });
      clock.advance(LIFE_MS + 1_000);
      if (renewed) rig.clientIdentity = CA.workload('shop', 'client');
      await assert.rejects(connect(), renewed ? { status: 403 } : { code: 'HBONE_REFUSED_STREAM' });
      assert.equal(asked, renewed ? 2 : 1);
    });
  }
});
