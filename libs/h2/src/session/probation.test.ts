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

  /** What became of connections, in the order of their coming. */
  function arrivals(probation: Probation) {
    const answers: (boolean | undefined)[] = [];
    const come = (name: string): void => {
      const index = answers.push(undefined) - 1;
      void probation.enter(name)?.then((answer) => {
        answers[index] = answer;
      });
    };
    return { answers, come };
  }

  it('get a place when they are the newest: beyond the bound who waits longest goes on, or is refused', async () => {
    const { clock, probation, flood } = given({ waitingMax: 2 });
    await flood('a');
    await flood('a');
    const { answers, come } = arrivals(probation);
    for (let count = 0; count < 4; count += 1) {
      come('a');
    }
    await settled();
    assert.deepEqual(answers, [true, false, undefined, undefined]);
    clock.advance(50);
    await settled();
    assert.deepEqual(answers, [true, false, true, true]);
    assert.deepEqual({ ...probation.counters }, { begun: 1, waits: 4, refused: 1, forgotten: 0 });
    assert.equal(probation.waiting, 0);
  });

  it('get as many turns in a crowd that does not end as without one, and no more', async () => {
    const { clock, probation, flood } = given({ waitingMax: 5 });
    await flood('a');
    await flood('a');
    const { answers, come } = arrivals(probation);
    for (let ms = 0; ms < 500; ms += 1) {
      come('a');
      clock.advance(1);
      await settled(1);
    }
    const turns = answers.filter((answer) => answer === true).length;
    // 5 at a time wait 50 ms each.
    assert.ok(turns > 45 && turns <= 51, `${turns} turns`);
    assert.ok(probation.waiting <= 5);
  });

  it('give up one of their own beyond the bound of all, and of another peer where they have none', async () => {
    const { probation, flood } = given({ waitingOfAllMax: 3 });
    for (const peer of ['a', 'a', 'b', 'b', 'c', 'c']) {
      await flood(peer);
    }
    const { answers, come } = arrivals(probation);
    for (const name of ['b', 'a', 'a', 'a', 'a']) {
      come(name);
    }
    await settled();
    assert.deepEqual(answers, [undefined, true, false, undefined, undefined]);
    come('c');
    await settled();
    assert.deepEqual(answers, [true, true, false, undefined, undefined, undefined]);
    assert.equal(probation.waiting, 3);
  });

  it('wait no more when they are gone', async () => {
    const { probation, flood } = given();
    await flood('a');
    await flood('a');
    const gone = new AbortController();
    const first = probation.enter('a', gone.signal);
    void probation.enter('a');
    gone.abort();
    assert.equal(await first, false);
    assert.equal(await probation.enter('a', gone.signal), false, 'gone before');
    assert.deepEqual([probation.waiting, probation.counters.waits], [1, 2]);
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

  it('is as much where a peer waits under another name, which is bounded by itself', async () => {
    const { clock, probation } = given({ peersMax: 2 });
    const endTwice = (peer: string, address: string): void => {
      for (let count = 0; count < 2; count += 1) {
        probation.conductOf(peer, address).ended(undefined, undefined);
      }
    };
    endTwice('spiffe://a 10.0.0.1', '10.0.0.1');
    endTwice('spiffe://b 10.0.0.2', '10.0.0.2');
    assert.deepEqual([probation.size, probation.counters.forgotten], [2, 0]);
    const waits = ['10.0.0.1', '10.0.0.2'].map(async (name) => await probation.enter(name));
    clock.advance(50);
    assert.deepEqual(await Promise.all(waits), [true, true]);
    endTwice('spiffe://c 10.0.0.2', '10.0.0.2');
    assert.deepEqual([probation.size, probation.counters.forgotten], [2, 1], 'one peer');
    endTwice('spiffe://c 10.0.0.3', '10.0.0.3');
    assert.deepEqual([probation.size, probation.counters.forgotten], [2, 3], 'and an address');
    assert.equal(probation.enter('10.0.0.1'), undefined);
  });
});
