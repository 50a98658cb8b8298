/** What those who share a tunnel notice of one who takes back what was answered. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';
import type { HboneStream } from './client-session.ts';
import type { HbonePoolLimits } from './pool-options.ts';
import type { ConnectAnswer } from './server-session.ts';
import { TunnelRig } from './testing/index.ts';

const CA = new TestCa();
/** Resets that are sent at once, and in each turn. */
const AT_ONCE = 100;
const A_TURN = 10;
const TURN_MS = 40;
/** What the peer bears at once. */
const BORNE = 2_000;

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await turn();
};
const settle = async (): Promise<void> => {
  for (let left = 20; left > 0; left -= 1) await turn();
};

async function given(limits: Partial<HbonePoolLimits> = {}) {
  const clock = new FakeClock();
  let cut = 0;
  let ended = 0;
  const answer: ConnectAnswer = {
    status: 200,
    serve: (conn) => {
      const served = Recorder.on(conn);
      void served.closed.then(() => {
        cut += 1;
      });
      void served.ended.then(() => {
        ended += 1;
      });
    },
  };
  const rig = await TunnelRig.start({
    server: CA.workload('shop', 'reviews'),
    client: CA.workload('shop', 'waypoint'),
    clock,
    onConnect: () => answer,
    poolLimits: limits,
  });
  const open = async (count: number): Promise<HboneStream[]> =>
    await Promise.all(
      Array.from({ length: count }, () =>
        rig.pool.connect(rig.key(), { authority: '10.0.0.1:80' }),
      ),
    );
  /** So many, fifty at a time, each answered before it is taken back. */
  const takeBack = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left -= 50) {
      for (const { conn } of await open(Math.min(50, left))) {
        const { closed } = Recorder.on(conn);
        conn.destroy();
        await closed;
      }
    }
  };
  const { conn } = await rig.pool.connect(rig.key(), { authority: '10.0.0.1:80' });
  const neighbour = { conn, isClosed: false };
  void Recorder.on(conn).closed.then(() => {
    neighbour.isClosed = true;
  });
  return { clock, rig, open, takeBack, neighbour, cut: () => cut, ended: () => ended };
}

describe('tunnels that are taken back after their answer', () => {
  it('harm nobody on the same tunnel, however many', async () => {
    const { rig, takeBack, neighbour } = await given();
    await using _rig = rig;
    // The clock stands still: nothing is forgiven.
    await takeBack(BORNE + AT_ONCE);
    await settle();
    const { server, pool } = rig;
    assert.deepEqual(
      [rig.floods, server.counters.probation.begun, neighbour.isClosed],
      [0, 0, false],
    );
    assert.deepEqual([pool.counters.streamFailures, pool.counters.abandonedAtBound], [0, 0]);
    assert.ok(pool.counters.abandonedOpen <= 2 * AT_ONCE, 'only beside others');
    assert.ok(pool.size <= 3, `${pool.size} tunnels`);
  });

  it('are reset at a pace, over for their callers at once, and not ended in order', async () => {
    const { clock, rig, takeBack, neighbour, cut, ended } = await given();
    await using _rig = rig;
    const { counters } = rig.pool;
    await takeBack(AT_ONCE + 3 * A_TURN);
    await until(() => cut() >= AT_ONCE);
    await settle();
    assert.deepEqual(
      [cut(), ended(), counters.abandoned, counters.abandonedOpen],
      [AT_ONCE, 0, 3 * A_TURN, 3 * A_TURN],
    );
    for (let left = 2 * A_TURN; left >= 0; left -= A_TURN) {
      clock.advance(TURN_MS);
      await until(() => counters.abandonedOpen <= left);
      await settle();
      assert.deepEqual(
        [counters.abandonedOpen, cut()],
        [left, AT_ONCE + 3 * A_TURN - left],
        'one turn',
      );
    }
    assert.deepEqual([counters.dials, ended(), neighbour.isClosed], [1, 0, false]);
  });

  it('wait for those before them', async () => {
    const { clock, rig, takeBack, cut } = await given();
    await using _rig = rig;
    await takeBack(AT_ONCE + 2 * A_TURN);
    // Enough for one turn has been earned, and its turn is to come.
    clock.advance(TURN_MS - 1);
    await takeBack(1);
    await settle();
    assert.deepEqual([cut(), rig.pool.counters.abandonedOpen], [AT_ONCE, 2 * A_TURN + 1]);
  });

  it('count among the streams of their tunnel, and hold none that takes no more', async () => {
    const { rig, takeBack, neighbour, cut } = await given();
    await using _rig = rig;
    const { pool } = rig;
    await takeBack(AT_ONCE + 3);
    assert.deepEqual(
      Array.from(pool.rows(), ({ streams }) => streams),
      [1 + 3],
    );
    pool.retire(() => true);
    await settle();
    assert.deepEqual([pool.size, cut()], [1, AT_ONCE], 'for the sake of the one that is in use');
    neighbour.conn.destroy();
    await until(() => pool.size === 0);
    await until(() => cut() >= AT_ONCE + 4);
    assert.equal(pool.counters.abandonedOpen, 0);
  });

  it('are gone with their tunnel', async () => {
    const { rig, takeBack } = await given();
    await using _rig = rig;
    await takeBack(AT_ONCE + 3);
    assert.equal(rig.pool.counters.abandonedOpen, 3);
    rig.server.destroy();
    await until(() => rig.pool.size === 0);
    assert.equal(rig.pool.counters.abandonedOpen, 0);
  });

  it('are reset at once beyond those that may stay open, and counted', async () => {
    const { rig, takeBack, cut } = await given({ abandonedMax: 2 });
    await using _rig = rig;
    await takeBack(AT_ONCE + 5);
    await until(() => cut() >= AT_ONCE + 3);
    const { abandoned, abandonedOpen, abandonedAtBound } = rig.pool.counters;
    assert.deepEqual(
      { abandoned, abandonedOpen, abandonedAtBound },
      { abandoned: 2, abandonedOpen: 2, abandonedAtBound: 3 },
    );
  });

  it('leave those alone that end in order', async () => {
    const { rig, open, takeBack, ended } = await given();
    await using _rig = rig;
    await takeBack(AT_ONCE + 1);
    for (const { conn } of await open(5)) {
      conn.end();
    }
    await until(() => ended() === 5);
    assert.equal(rig.pool.counters.abandoned, 1);
  });
});
