/** What a peer that was ended for a flood meets when it comes back, and what others do. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { frame } from '../testing/frames.ts';
import { get, post, reset, settled } from '../testing/raw-peer.ts';
import { serverRig } from '../testing/sessions.ts';
import { MESH_LIMITS } from './limits.ts';
import { Probation, type ProbationLimits } from './probation.ts';

const { burst, perSecond } = MESH_LIMITS.rates.unansweredResets;
const FLOOR = burst / 10;

function given(limits: Partial<ProbationLimits> = {}) {
  const clock = new FakeClock();
  const told: string[] = [];
  const probation = new Probation({ clock, limits, onBegin: (peer) => void told.push(peer) });
  /** How many requests of a session reach code before it is ended, of so many that are taken back at once. */
  const flood = async (peer: string, count = burst + 1): Promise<number> => {
    const rig = serverRig({ clock, conduct: probation.conductOf(peer) });
    rig.peer.greetAsClient();
    const ids = Array.from({ length: count }, (_, n) => 2 * n + 1);
    rig.peer.send(Buffer.concat(ids.flatMap((id) => [post(id), reset(id)])));
    await settled();
    rig.peer.destroy();
    return rig.streams.length;
  };
  return { clock, told, probation, flood };
}

describe('budgets of a peer that was ended', () => {
  for (const [waitedMs, begins] of [
    [0, FLOOR],
    [20, FLOOR],
    [2_000, 2 * perSecond],
    [6_000, 6 * perSecond],
    [60_001, burst],
  ] as const) {
    it(`are ${begins} requests after ${waitedMs} ms`, async () => {
      const { clock, flood } = given();
      assert.equal(await flood('a'), burst + 1);
      clock.advance(waitedMs);
      assert.equal(await flood('a'), begins + 1);
    });
  }

  it('are earned once, however many sessions there are', async () => {
    const { clock, flood } = given();
    await flood('a');
    clock.advance(2_000);
    assert.equal(await flood('a', 2 * perSecond), 2 * perSecond);
    assert.equal(await flood('a'), FLOOR + 1);
  });

  it('bind a session that was open before and has used nothing of them', async () => {
    const { clock, probation, flood } = given();
    const open = serverRig({ clock, conduct: probation.conductOf('a') });
    open.peer.greetAsClient();
    await settled();
    await flood('a');
    const ids = Array.from({ length: burst }, (_, n) => 2 * n + 1);
    open.peer.send(Buffer.concat(ids.flatMap((id) => [post(id), reset(id)])));
    await settled();
    assert.equal(open.streams.length, FLOOR + 1);
  });

  it('are whole for every other peer, and for what was not used up', async () => {
    const { clock, probation, flood } = given();
    await flood('a');
    assert.equal(await flood('b'), burst + 1);
    const rig = serverRig({ clock, conduct: probation.conductOf('a') });
    rig.peer.greetAsClient();
    rig.peer.send(...Array.from({ length: 100 }, () => frame(0xef, 0, 'x')), get(1));
    await settled();
    assert.deepEqual([rig.streams.length, rig.closed.length], [1, 0]);
  });
});

describe('connections of a peer that is ended again and again', () => {
  it('wait 50 ms after the second end, and twice as long after each, 250 ms at the most', async () => {
    const { clock, probation, flood } = given();
    assert.equal(probation.enter('a'), undefined);
    await flood('a');
    assert.equal(probation.enter('a'), undefined);
    for (const waitMs of [50, 100, 200, 250, 250]) {
      await flood('a');
      const entered = probation.enter('a');
      assert.ok(entered);
      let isIn = false;
      void entered.then((answer) => {
        isIn = answer;
      });
      clock.advance(waitMs - 1);
      await settled();
      assert.equal(isIn, false, `after ${waitMs - 1}`);
      clock.advance(1);
      await settled();
      assert.equal(isIn, true, `after ${waitMs}`);
    }
    assert.equal(probation.enter('b'), undefined, 'nobody else');
    clock.advance(10_001);
    assert.equal(probation.enter('a'), undefined, 'nor when it has been quiet');
    assert.equal(probation.waiting, 0);
  });

  it('are refused beyond those that may wait, and one that goes away waits no more', async () => {
    const { probation, flood } = given({ waitingMax: 2, waitingOfAllMax: 3 });
    for (const peer of ['a', 'a', 'b', 'b']) {
      await flood(peer);
    }
    const gone = new AbortController();
    const first = probation.enter('a', gone.signal);
    void probation.enter('a');
    void probation.enter('a');
    assert.equal(probation.waiting, 2, 'of one peer');
    void probation.enter('b');
    void probation.enter('b');
    assert.deepEqual([probation.waiting, probation.counters.refused], [3, 2]);
    gone.abort();
    assert.equal(await first, false);
    assert.deepEqual([probation.waiting, probation.counters.waits], [2, 3]);
  });

  it('wait under the name that is known before who they are', async () => {
    const { clock, probation } = given();
    const { ended } = probation.conductOf('spiffe://a 10.0.0.1', '10.0.0.1');
    ended(undefined, undefined);
    ended(undefined, undefined);
    const entered = probation.enter('10.0.0.1');
    clock.advance(50);
    assert.equal(await entered, true);
  });
});

describe('what is remembered of peers', () => {
  it('is told once a burst', async () => {
    const { clock, told, probation, flood } = given();
    await flood('a');
    await flood('a');
    await flood('b');
    clock.advance(10_001);
    await flood('a');
    assert.deepEqual(told, ['a', 'b', 'a']);
    assert.equal(probation.counters.begun, 3);
  });

  it('is bounded: who was ended longest ago is forgotten, and counted', async () => {
    const { clock, probation, flood } = given({ peersMax: 2 });
    for (const peer of ['a', 'b', 'a', 'c']) {
      await flood(peer);
    }
    assert.deepEqual([probation.size, probation.counters.forgotten], [2, 1]);
    assert.equal(await flood('b'), burst + 1);
    clock.advance(60_001);
    await flood('d');
    assert.deepEqual([probation.size, probation.counters.forgotten], [2, 2]);
  });
});
