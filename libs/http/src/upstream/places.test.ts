/** Places of one cluster, that requests of both versions of HTTP need: none waits for a place that is free. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import { headers, settled } from '@ambit/h2/testing';
import { HttpError } from '../errors.ts';
import { http1Rig, OK as OK1 } from '../fixtures/http1-rig.ts';
import { http2Rig } from '../fixtures/http2-rig.ts';
import type { UpstreamLink } from './message.ts';
import type { PlaceUser } from './places.ts';

const ok2 = (stream: number) => headers(stream, [':status', '200'], 0x1);
const OK2 = ok2(1);
/** How long others wait for a connection to become idle, and a little longer. */
const PATIENCE_MS = 1100;
/** How long a session takes no requests, and is left alone after that. */
const PAUSE_MS = 3000;
const REST_MS = 30_000;

const ONE_STREAM = [3, 1] as const;
const GONE = new HttpError('HTTP_CLIENT_GONE', 'the client went away', { side: 'downstream' });

/** How many requests a server has got. */
const opened = (frames: readonly string[]): number =>
  frames.filter((text) => text.startsWith('HEADERS')).length;

/** Streams of bytes. */
const STREAMS: PlaceUser = {
  isWaiting: () => false,
  placeFreed: () => undefined,
  giveUpIdle: () => false,
};

/** Two pools of one cluster. */
function rig(maxConnections: number) {
  const one = http1Rig();
  const two = http2Rig();
  const link2 = (key: string): UpstreamLink =>
    two.server.endpoint.link({ tcp: { maxConnections } }, key);
  const { cluster } = link2('a');
  const link1 = (key: string): UpstreamLink => ({ ...one.server.endpoint.link({}, key), cluster });
  const ask1 = (key = 'a') => one.ask({}, link1(key)).answer;
  const ask2 = (key = 'a') => two.ask({}, link2(key)).answer;
  const held = () => cluster.breaker.held('connections');
  const advance = (ms: number) => {
    one.clock.advance(ms);
    two.clock.advance(ms);
  };
  return { one, two, cluster, link1, link2, ask1, ask2, held, advance };
}

describe('Places: one for two pools', () => {
  it('goes from an HTTP/2 session to an HTTP/1 request when its last stream ends', async () => {
    const { one, two, ask1, ask2, held } = rig(1);
    const second = ask2();
    await settled();
    const peer = two.peer(0);
    await settled();
    const first = ask1();
    await settled();
    assert.deepEqual([one.server.conns.length, held()], [0, 1]);
    peer.send(OK2);
    await settled();
    assert.equal(second.summary, '200 ');
    one.server.say(OK1);
    await settled();
    assert.deepEqual([first.summary, two.pool.size, held()], ['200 ab', 0, 1]);
  });

  it('goes from an HTTP/1 connection to an HTTP/2 request when its response ends', async () => {
    const { one, two, ask1, ask2, held } = rig(1);
    const first = ask1();
    await settled();
    const second = ask2();
    await settled();
    assert.deepEqual([two.server.conns.length, held()], [0, 1]);
    one.server.say(OK1);
    await settled();
    assert.equal(first.summary, '200 ab');
    two.peer(0).send(OK2);
    await settled();
    assert.deepEqual([second.summary, one.pool.size, held()], ['200 ', 0, 1]);
  });

  it('is taken from who only keeps it', async () => {
    const { one, two, ask1, ask2, held } = rig(1);
    for (let round = 0; round < 2; round += 1) {
      const first = ask1();
      await settled();
      one.server.say(OK1);
      await settled();
      const second = ask2();
      await settled();
      two.peer(round).send(OK2);
      await settled();
      assert.deepEqual([first.summary, second.summary, held()], ['200 ab', '200 ', 1]);
    }
  });

  it('is offered to the other one first, so that neither starves', async () => {
    const { one, two, ask1, ask2, held } = rig(1);
    ask1();
    await settled();
    const again = ask1();
    const second = ask2();
    await settled();
    one.server.say(OK1, 0);
    await settled();
    assert.deepEqual([one.server.conns.length, two.server.conns.length], [1, 1]);
    two.peer(0).send(OK2);
    await settled();
    one.server.say(OK1);
    await settled();
    assert.deepEqual([second.summary, again.summary, held()], ['200 ', '200 ab', 1]);
  });

  for (const version of ['HTTP/1', 'HTTP/2'] as const) {
    it(`is passed on when a dial of ${version} fails`, async () => {
      const { one, two, ask1, ask2, held } = rig(1);
      const is1 = version === 'HTTP/1';
      const gate = Promise.withResolvers<void>();
      (is1 ? one : two).server.gate = gate.promise;
      const failed = is1 ? ask1() : ask2();
      const waits = is1 ? ask2() : ask1();
      await settled();
      gate.reject(new MeshError('X', 'nobody there', { side: 'upstream' }));
      await settled();
      if (is1) {
        two.peer(0).send(OK2);
      } else {
        one.server.say(OK1);
      }
      await settled();
      assert.match(failed.summary, /^HTTP_CONNECT_FAILURE/);
      assert.match(waits.summary, /^200/);
      assert.equal(held(), 1);
    });
  }

  it('of a stream of bytes is passed on at its end', async () => {
    const { one, two, cluster, ask1, ask2 } = rig(1);
    assert.ok(cluster.places.hold(STREAMS));
    assert.equal(cluster.places.hold(STREAMS), false);
    const answers = [ask1(), ask2()];
    await settled();
    cluster.places.release(STREAMS);
    await settled();
    one.server.say(OK1);
    await settled();
    two.peer(0).send(OK2);
    await settled();
    assert.deepEqual(
      answers.map(({ summary }) => summary),
      ['200 ab', '200 '],
    );
  });

  it('of a connection that was opened for a repeat and is idle goes to a stream of bytes', async () => {
    const { one, cluster, ask1, held } = rig(1);
    ask1();
    await settled();
    one.server.say(OK1);
    await settled();
    ask1();
    await settled();
    one.server.conns[0]?.destroy();
    await settled();
    one.server.say(OK1);
    await settled();
    assert.deepEqual([one.pool.counters.repeated, one.pool.idle], [1, 1]);
    assert.ok(cluster.places.hold(STREAMS));
    await settled();
    assert.deepEqual([one.pool.idle, held()], [0, 1]);
  });

  it('is sought in the next pool where what one gave up left none', () => {
    const { cluster } = rig(1);
    const giving = (giveUpIdle: () => boolean): PlaceUser => ({ ...STREAMS, giveUpIdle });
    const keeps = giving(() => true);
    const gives = giving(() => {
      cluster.places.release(gives);
      return true;
    });
    assert.ok(cluster.places.hold(gives));
    assert.ok(cluster.places.hold(keeps));
    assert.equal(cluster.breaker.held('connections'), 1);
  });

  it('is waited for by the next of a caller when the first has gone', async () => {
    const { two, link2, ask2 } = rig(1);
    ask2();
    await settled();
    const first = two.ask({}, link2('b'));
    const next = ask2('b');
    await settled();
    first.attempt.abort(GONE);
    await settled();
    two.peer(0).send(OK2);
    await settled();
    two.peer(1).send(OK2);
    await settled();
    assert.equal(next.summary, '200 ');
  });

  for (const version of ['HTTP/1', 'HTTP/2'] as const) {
    it(`goes from an idle connection of ${version} to who has a full session`, async () => {
      const { one, two, ask1, ask2, advance } = rig(2);
      ask2();
      await settled();
      two.peer(0, ONE_STREAM);
      await settled();
      const other = version === 'HTTP/1' ? ask1() : ask2('b');
      await settled();
      const next = ask2();
      await settled();
      advance(PATIENCE_MS);
      if (version === 'HTTP/1') {
        one.server.say(OK1);
      } else {
        two.peer(1).send(OK2);
      }
      await settled();
      two.peer(version === 'HTTP/1' ? 1 : 2).send(OK2);
      await settled();
      assert.match(other.summary, /^200/);
      assert.deepEqual([next.summary, two.pool.sessions.yielded], ['200 ', 0]);
    });
  }

  it('goes to who has no session before who has a full one', async () => {
    const { two, ask2 } = rig(2);
    ask2();
    await settled();
    two.peer(0, ONE_STREAM);
    ask2('b');
    await settled();
    const next = ask2();
    await settled();
    const third = ask2('c');
    await settled();
    two.peer(1).send(OK2);
    await settled();
    two.peer(2).send(OK2);
    await settled();
    assert.deepEqual([third.summary, next.summary], ['200 ', 'nothing']);
    two.peer(3).send(OK2);
    await settled();
    assert.equal(next.summary, '200 ');
  });

  it('that nobody else wants is kept', async () => {
    const { one, two, ask1, ask2, held } = rig(2);
    ask1();
    ask2();
    await settled();
    one.server.say(OK1);
    two.peer(0).send(OK2);
    await settled();
    assert.deepEqual([one.pool.idle, two.pool.size, held()], [1, 1, 2]);
  });
});

describe('Places: sessions of HTTP/2 that are never without a request', () => {
  for (const who of ['HTTP/1', 'another caller'] as const) {
    it(`end for ${who} after a second`, async () => {
      const { one, two, ask1, ask2, held, advance } = rig(1);
      const answers = [ask2()];
      await settled();
      const peer = two.peer(0);
      await settled();
      const waits = who === 'HTTP/1' ? ask1() : ask2('b');
      for (const [turn, ms] of [900, 200].entries()) {
        advance(ms);
        answers.push(ask2());
        await settled();
        assert.equal(two.pool.sessions.yielded, 0);
        peer.send(ok2(1 + 2 * turn));
        await settled();
      }
      assert.equal(two.pool.sessions.yielded, 1);
      const late = ask2();
      await settled();
      assert.equal(waits.summary, 'nothing', 'a request is under way still');
      peer.send(ok2(5));
      await settled();
      if (who === 'HTTP/1') {
        one.server.say(OK1);
      } else {
        two.peer(1).send(OK2);
      }
      await settled();
      two.peer(who === 'HTTP/1' ? 1 : 2).send(OK2);
      await settled();
      assert.match(waits.summary, /^200/);
      assert.deepEqual(
        [...answers, late].map(({ summary }) => summary),
        ['200 ', '200 ', '200 ', '200 '],
      );
      assert.deepEqual([held(), two.pool.sessions.yielded], [1, 1]);
    });
  }

  for (const who of ['HTTP/1', 'another caller'] as const) {
    it(`end for ${who}, also where their next request is there before the last has ended`, async () => {
      const { one, two, ask1, ask2, advance } = rig(1);
      ask2();
      await settled();
      two.peer(0, ONE_STREAM);
      await settled();
      const next = ask2();
      await settled();
      const waits = who === 'HTTP/1' ? ask1() : ask2('b');
      await settled();
      advance(PATIENCE_MS);
      two.peer(0).send(OK2);
      await settled();
      if (who === 'HTTP/1') {
        one.server.say(OK1);
      } else {
        two.peer(1).send(OK2);
      }
      await settled();
      two.peer(who === 'HTTP/1' ? 1 : 2).send(OK2);
      await settled();
      assert.match(waits.summary, /^200/);
      assert.equal(next.summary, '200 ');
    });
  }

  it('go on where a request does not end, and are left alone while it lasts', async () => {
    const { one, two, ask1, ask2, advance } = rig(1);
    // The first one lasts.
    ask2();
    ask2();
    await settled();
    const peer = two.peer(0);
    const waits = ask1();
    await settled();
    advance(PATIENCE_MS);
    peer.send(ok2(3));
    await settled();
    const held = ask2();
    await settled();
    assert.deepEqual([opened(peer.frames), two.pool.sessions.yielded], [2, 1]);
    advance(PAUSE_MS);
    await settled();
    assert.equal(opened(peer.frames), 3);
    peer.send(ok2(5));
    await settled();
    assert.equal(held.summary, '200 ');
    for (const stream of [7, 9]) {
      advance(REST_MS);
      ask2();
      await settled();
      peer.send(ok2(stream));
      await settled();
    }
    assert.equal(two.pool.sessions.yielded, 1);
    ask2();
    await settled();
    peer.send(OK2);
    await settled();
    assert.equal(two.pool.sessions.yielded, 2);
    peer.send(ok2(11));
    await settled();
    one.server.say(OK1);
    await settled();
    assert.equal(waits.summary, '200 ab');
  });

  it('are left alone for a while too where requests lasted a little too long', async () => {
    const { two, ask1, ask2, advance } = rig(1);
    for (let request = 0; request < 4; request += 1) {
      ask2();
    }
    await settled();
    const peer = two.peer(0);
    ask1();
    await settled();
    const yielded: number[] = [];
    // There is always one under way.
    for (const [index, ms] of [PATIENCE_MS, PAUSE_MS, REST_MS - 1, 1].entries()) {
      advance(ms);
      await settled();
      ask2();
      await settled();
      peer.send(...([[ok2(1)], [ok2(3), ok2(5), ok2(7)], [ok2(9)], [ok2(11)]][index] ?? []));
      await settled();
      yielded.push(two.pool.sessions.yielded);
    }
    assert.deepEqual(yielded, [1, 1, 1, 2]);
  });

  it('go on when nobody waits any more', async () => {
    const { one, two, link1, ask2, advance } = rig(1);
    ask2();
    ask2();
    await settled();
    const peer = two.peer(0);
    const { attempt } = one.ask({}, link1('a'));
    await settled();
    advance(PATIENCE_MS);
    peer.send(ok2(3));
    await settled();
    attempt.abort(GONE);
    ask2();
    await settled();
    assert.deepEqual([opened(peer.frames), two.pool.sessions.yielded], [3, 1]);
  });

  it('wait one at a time', async () => {
    const { two, ask1, ask2, advance } = rig(3);
    const callers = ['a', 'b', 'c'];
    for (const key of callers) {
      // The first one has no end.
      for (let request = 0; request < 6; request += 1) {
        ask2(key);
      }
    }
    await settled();
    const peers = callers.map((_, index) => two.peer(index));
    await settled();
    ask1();
    await settled();
    const yielded: number[] = [];
    for (const [index, ms] of [PATIENCE_MS, PATIENCE_MS, PAUSE_MS, PAUSE_MS, PAUSE_MS].entries()) {
      advance(ms);
      await settled();
      for (const peer of peers) {
        peer.send(ok2(3 + 2 * index));
      }
      await settled();
      yielded.push(two.pool.sessions.yielded);
    }
    assert.deepEqual(yielded, [1, 1, 2, 3, 3]);
  });

  it('go on where a place has become free', async () => {
    const { one, two, cluster, ask1, ask2, advance } = rig(2);
    assert.ok(cluster.places.hold(STREAMS));
    ask2();
    await settled();
    const peer = two.peer(0);
    const waits = ask1();
    await settled();
    advance(PATIENCE_MS);
    cluster.places.release(STREAMS);
    await settled();
    ask2();
    await settled();
    peer.send(OK2);
    one.server.say(OK1);
    await settled();
    assert.deepEqual([waits.summary, two.pool.sessions.yielded], ['200 ab', 0]);
  });
});
