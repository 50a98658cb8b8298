/** Places of one cluster, that requests of both versions of HTTP need: none waits for a place that is free. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import { headers, settled } from '@ambit/h2/testing';
import { http1Rig, OK as OK1 } from '../fixtures/http1-rig.ts';
import { http2Rig } from '../fixtures/http2-rig.ts';
import type { UpstreamLink } from './message.ts';
import type { PlaceUser } from './places.ts';

const ok2 = (stream: number) => headers(stream, [':status', '200'], 0x1);
const OK2 = ok2(1);
/** How long others wait for a connection to become idle, and a little longer. */
const PATIENCE_MS = 1100;

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
  return { one, two, cluster, ask1, ask2, held, advance };
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

  it('end one at a time, and never the last that takes requests', async () => {
    const { two, ask1, ask2, advance } = rig(3);
    const callers = ['a', 'b', 'c'];
    for (const key of callers) {
      // This one has no end.
      ask2(key);
    }
    await settled();
    const peers = callers.map((_, index) => two.peer(index));
    await settled();
    ask1();
    const yielded: number[] = [];
    for (let stream = 3; stream < 11; stream += 2) {
      for (const key of callers) {
        ask2(key);
      }
      await settled();
      advance(PATIENCE_MS);
      for (const peer of peers.slice(yielded.at(-1) ?? 0)) {
        peer.send(ok2(stream));
      }
      await settled();
      yielded.push(two.pool.sessions.yielded);
    }
    assert.deepEqual(yielded, [1, 2, 2, 2]);
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
