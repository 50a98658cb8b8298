/** What those who share a tunnel notice of one who takes its requests back before they are answered. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';
import type { HboneStream } from './client-session.ts';
import type { HbonePoolLimits } from './pool-options.ts';
import type { HboneServerLimits } from './server.ts';
import type { ConnectAnswer } from './server-session.ts';
import { TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const ANSWERS = '10.0.0.1:80';
const SLOW = '10.0.0.1:81';
/** Resets before the answer that are sent at once. */
const AT_ONCE = 8;
/** Somebody's connection, and whether it has ended. */
function hold({ conn }: HboneStream): { isClosed: boolean } {
  const held = { isClosed: false };
  void Recorder.on(conn).closed.then(() => {
    held.isClosed = true;
  });
  return held;
}

const OK: ConnectAnswer = { status: 200, serve: (conn) => void Recorder.on(conn) };

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await turn();
};
const settle = async (): Promise<void> => {
  for (let left = 20; left > 0; left -= 1) await turn();
};

interface Given {
  readonly server?: Partial<HboneServerLimits>;
  readonly pool?: Partial<HbonePoolLimits>;
}

async function given({ server, pool }: Given = {}) {
  const clock = new FakeClock();
  const asked: ((answer: ConnectAnswer) => void)[] = [];
  let gone = 0;
  const rig = await TunnelRig.start({
    server: CA.workload('shop', 'reviews'),
    client: CA.workload('shop', 'waypoint'),
    clock,
    onConnect: async ({ authority, signal }) => {
      if (authority === ANSWERS) return OK;
      signal.addEventListener('abort', () => {
        gone += 1;
      });
      const answer = Promise.withResolvers<ConnectAnswer>();
      asked.push(answer.resolve);
      return await answer.promise;
    },
    ...(server && { serverLimits: server }),
    ...(pool && { poolLimits: pool }),
  });
  const connect = async (authority: string, signal?: AbortSignal): Promise<HboneStream> =>
    await rig.pool.connect(rig.key(), { authority, ...(signal && { signal }) });
  /** So many requests at once, and when all have arrived nobody waits for them any more. */
  const takeBack = async (count: number): Promise<void> => {
    const before = asked.length;
    const life = new AbortController();
    const failures = Array.from({ length: count }, () =>
      assert.rejects(connect(SLOW, life.signal), { code: 'HBONE_ABORTED' }),
    );
    await until(() => asked.length === before + count);
    life.abort();
    await Promise.all(failures);
  };
  return { clock, rig, asked, connect, takeBack, gone: () => gone };
}

describe('requests that are taken back before their answer', () => {
  it('harm nobody on the same tunnel, a thousand at once and again', async () => {
    // Stricter than any peer that is known.
    const { rig, connect, takeBack } = await given({
      server: { unansweredResetsBurst: 20, unansweredResetsPerSecond: 0 },
    });
    await using _rig = rig;
    const { server, pool } = rig;
    const neighbour = hold(await connect(ANSWERS));
    for (const count of [1_000, 250]) {
      await takeBack(count);
      // The clock stands still: it waits for nobody.
      (await connect(ANSWERS)).conn.destroy();
    }
    await settle();
    assert.deepEqual(
      {
        floods: rig.floods,
        ...server.counters.probation,
        neighbour: neighbour.isClosed,
      },
      { floods: 0, begun: 0, waits: 0, refused: 0, forgotten: 0, neighbour: false },
    );
    assert.equal(pool.counters.abandonedAtBound, 0);
    assert.ok(pool.counters.abandonedOpen < 200, 'only beside others, and on the newest tunnel');
    assert.ok(pool.size <= 3, `${pool.size} tunnels`);
  });

  it('stay open beyond the pace, until the answer', async () => {
    const { rig, asked, takeBack, gone } = await given();
    await using _rig = rig;
    const { counters } = rig.pool;
    await takeBack(AT_ONCE + 3);
    await until(() => gone() === AT_ONCE);
    assert.deepEqual([counters.abandoned, counters.abandonedOpen], [3, 3]);
    const greeting: ConnectAnswer = {
      status: 200,
      serve: (conn) => {
        Recorder.on(conn);
        conn.write(Buffer.from('early'));
      },
    };
    for (const answer of asked) answer(greeting);
    await until(() => counters.abandonedOpen === 0 && gone() === AT_ONCE + 3);
    assert.deepEqual([counters.abandoned, counters.streams, rig.pool.size], [3, 0, 1]);
  });

  it('are refused as they are accepted: the peer has the last word', async () => {
    const { rig, asked, takeBack } = await given();
    await using _rig = rig;
    await takeBack(AT_ONCE + 3);
    for (const answer of asked) answer({ status: 503, reason: 'nobody there' });
    await until(() => rig.pool.counters.abandonedOpen === 0);
    assert.equal(rig.pool.counters.abandoned, 3);
  });

  it('are reset at the same pace when the answer is overdue', async () => {
    const { clock, rig, connect, takeBack, gone } = await given();
    await using _rig = rig;
    const neighbour = hold(await connect(ANSWERS));
    await takeBack(30);
    await until(() => gone() === AT_ONCE);
    clock.advance(19_999);
    await settle();
    assert.equal(gone(), AT_ONCE);
    for (let at = 0; at < 2; at += 1) {
      clock.advance(1);
      await settle();
      assert.equal(gone(), 2 * AT_ONCE, 'a burst');
    }
    for (let reset = 2 * AT_ONCE + 1; reset <= 30; reset += 1) {
      clock.advance(125);
      await until(() => gone() >= reset);
      assert.equal(gone(), reset);
    }
    assert.equal(rig.pool.counters.abandonedOpen, 0);
    assert.equal(neighbour.isClosed, false);
  });

  it('are reset at that pace too where their callers waited until the answer was overdue', async () => {
    const { clock, rig, asked, connect, gone } = await given();
    await using _rig = rig;
    const neighbour = hold(await connect(ANSWERS));
    const failures = Array.from({ length: 30 }, async () => {
      await assert.rejects(connect(SLOW), { code: 'HBONE_RESPONSE_TIMEOUT' });
    });
    await until(() => asked.length === 30);
    clock.advance(20_000);
    await Promise.all(failures);
    for (let reset = AT_ONCE; reset <= 30; reset += 1) {
      await until(() => gone() >= reset);
      await settle();
      assert.equal(gone(), reset);
      clock.advance(125);
    }
    assert.deepEqual([rig.pool.counters.abandonedOpen, neighbour.isClosed], [0, false]);
  });

  it('are reset at once beyond those that may stay open, and counted', async () => {
    const { rig, takeBack, gone } = await given({ pool: { abandonedMax: 2 } });
    await using _rig = rig;
    await takeBack(AT_ONCE + 5);
    await until(() => gone() === AT_ONCE + 3);
    const { abandoned, abandonedOpen, abandonedAtBound } = rig.pool.counters;
    assert.deepEqual(
      { abandoned, abandonedOpen, abandonedAtBound },
      { abandoned: 2, abandonedOpen: 2, abandonedAtBound: 3 },
    );
  });

  it('count among the streams of their tunnel, and hold none that takes no more', async () => {
    const { rig, connect, takeBack, gone } = await given();
    await using _rig = rig;
    const { pool } = rig;
    const { conn } = await connect(ANSWERS);
    await takeBack(AT_ONCE + 3);
    assert.deepEqual(
      Array.from(pool.rows(), ({ streams }) => streams),
      [4],
    );
    pool.retire(() => true);
    await settle();
    assert.equal(pool.size, 1, 'for the sake of the one that is in use');
    conn.destroy();
    await until(() => pool.size === 0);
    await until(() => gone() === AT_ONCE + 3);
    assert.equal(pool.counters.abandonedOpen, 0);
    assert.equal(rig.server.counters.h2.floods.unansweredResets, 0);
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
});

describe('a CONNECT that waits for its answer', () => {
  it('is asked again on another tunnel when the peer ends this one for what others did', async () => {
    const { rig, asked, connect, takeBack } = await given({
      server: { unansweredResetsBurst: 3, unansweredResetsPerSecond: 0 },
    });
    await using _rig = rig;
    const waiting = connect(SLOW);
    await until(() => asked.length === 1);
    await takeBack(AT_ONCE);
    await until(() => asked.length === AT_ONCE + 2);
    asked.at(-1)?.(OK);
    (await waiting).conn.destroy();
    assert.deepEqual([rig.floods, rig.pool.counters.dials], [1, 2]);
  });

  it('is not handed to a caller who is gone when the answer comes', async () => {
    const { rig, asked, connect, gone } = await given();
    await using _rig = rig;
    const life = new AbortController();
    // As if it aborted between the answer and its delivery, which no event tells.
    let isGone = false;
    const signal = new Proxy(life.signal, {
      get: (target, name) => {
        if (name === 'aborted') return isGone;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const failure = assert.rejects(connect(SLOW, signal), { code: 'HBONE_ABORTED' });
    await until(() => asked.length === 1);
    isGone = true;
    asked[0]?.(OK);
    await failure;
    await until(() => gone() === 1);
  });
});
