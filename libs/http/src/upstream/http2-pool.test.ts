/** Sessions of HTTP/2: who shares one, when another is opened, who waits, and how one ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConnectionPoolSettings } from '@ambit/api';
import { MeshError } from '@ambit/core';
import { goaway, headers, settings, settled } from '@ambit/h2/testing';
import type { ByteConn } from '@ambit/proxy';
import { HttpError } from '../errors.ts';
import { http2Rig } from '../fixtures/http2-rig.ts';
import { GivenBody } from '../fixtures/upstream.ts';

const OK = [':status', '200'];
const END = 0x1;
const STREAMS_MAX = 3;

const limited = (maxConnections: number): ConnectionPoolSettings => ({ tcp: { maxConnections } });
const http = (over: ConnectionPoolSettings['http']): ConnectionPoolSettings =>
  over === undefined ? {} : { http: over };

describe('Http2Pool: sessions', () => {
  it('shares one between all requests of a key, also those that come while it is made', async () => {
    const { ask, server, pool, peer } = http2Rig();
    const asked = [ask().answer, ask().answer];
    await settled();
    asked.push(ask().answer);
    peer(0).send(headers(1, OK, END), headers(3, OK, END));
    await settled();
    peer(0).send(headers(5, OK, END));
    await settled();
    assert.deepEqual(
      asked.map(({ summary }) => summary),
      ['200 ', '200 ', '200 '],
    );
    assert.deepEqual([server.conns.length, pool.size], [1, 1]);
    assert.equal(server.endpoint.link().cluster.breaker.held('connections'), 1);
  });

  it('never lets one caller ride on the session of another', async () => {
    const { ask, server, peer } = http2Rig();
    const keys = ['e\nspiffe://a', 'e\nspiffe://b', 'e\nspiffe://a', 'f\nspiffe://a'];
    for (const key of keys) {
      ask({ path: `/${key.replace(/\W/g, '')}` }, server.endpoint.link({}, key));
      await settled();
    }
    const heard = server.conns.map((_, index) => {
      peer(index);
      return index;
    });
    await settled();
    const paths = heard.map((index) =>
      peer(index)
        .frames.join()
        .match(/:path=\/\w+/g),
    );
    assert.deepEqual(paths, [
      [':path=/espiffea', ':path=/espiffea'],
      [':path=/espiffeb'],
      [':path=/fspiffea'],
    ]);
  });

  it('lets no caller take the place that a dial for another caller made', async () => {
    const { ask, server, peer } = http2Rig();
    const gate = Promise.withResolvers<void>();
    server.gate = gate.promise;
    ask({ path: '/a' }, server.endpoint.link({}, 'a'));
    ask({ path: '/b' }, server.endpoint.link({}, 'b'));
    gate.resolve();
    await settled();
    const paths = [0, 1].map((index) => peer(index));
    await settled();
    assert.deepEqual(
      paths.map(({ frames }) => frames.join().match(/:path=\/\w+/g)),
      [[':path=/a'], [':path=/b']],
    );
  });

  for (const [what, settingsOf, entries] of [
    ['the peer', {}, [[3, STREAMS_MAX]]],
    ['the cluster', http({ maxConcurrentStreams: STREAMS_MAX }), []],
  ] as const) {
    it(`opens another when ${what} allows no more streams`, async () => {
      const { ask, server, peer } = http2Rig();
      const link = server.endpoint.link(settingsOf);
      ask({}, link);
      await settled();
      peer(0, ...entries);
      await settled();
      for (let request = 0; request < STREAMS_MAX; request += 1) {
        ask({}, link);
      }
      await settled();
      assert.equal(server.conns.length, 2);
      assert.equal(peer(0).frames.filter((text) => /^HEADERS/.test(text)).length, STREAMS_MAX);
    });
  }

  it('waits for a stream to end where no other may be opened, first come first served', async () => {
    const { ask, server, peer } = http2Rig();
    const link = server.endpoint.link({ ...limited(1), ...http({ maxConcurrentStreams: 1 }) });
    const asked = ['/1', '/2', '/3'].map((path) => ask({ path }, link).answer);
    await settled();
    for (const [index, answer] of asked.entries()) {
      assert.equal(link.cluster.breaker.held('pending'), 2 - index);
      peer(0).send(headers(1 + 2 * index, OK, END));
      await settled();
      assert.equal(answer.summary, '200 ');
    }
    assert.deepEqual(
      peer(0)
        .frames.join()
        .match(/:path=\/\d/g),
      [':path=/1', ':path=/2', ':path=/3'],
    );
    assert.equal(server.conns.length, 1);
  });

  it('lets those who wait go on when the peer allows more', async () => {
    const { ask, server, peer } = http2Rig();
    const link = server.endpoint.link(limited(1));
    ask({}, link);
    await settled();
    peer(0, [3, 1]);
    await settled();
    ask({}, link);
    await settled();
    assert.equal(link.cluster.breaker.held('pending'), 1);
    peer(0).send(settings([3, 2]));
    await settled();
    assert.equal(link.cluster.breaker.held('pending'), 0);
  });

  it('refuses where nobody may wait', async () => {
    const { ask, server } = http2Rig();
    const link = server.endpoint.link(http({ http1MaxPendingRequests: 1 }));
    const asked = [ask({}, link).answer, ask({}, link).answer];
    assert.equal(asked[1]?.summary, 'nothing', 'not within the call');
    await settled();
    assert.deepEqual(
      asked.map(({ summary }) => summary),
      ['nothing', 'HTTP_OVERFLOW 503 UO unsent'],
    );
  });

  it('waits for a place that other callers have, first come first served', async () => {
    const { ask, server, pool, peer } = http2Rig();
    const link = (key: string) => server.endpoint.link(limited(1), key);
    const answers = ['a', 'b', 'c'].map((key) => ask({}, link(key)).answer);
    const gone = ask({}, link('d'));
    await settled();
    assert.deepEqual([server.conns.length, link('a').cluster.breaker.held('pending')], [1, 3]);
    gone.attempt.abort(new HttpError('HTTP_TIMEOUT', 'too late', { side: 'upstream' }));
    // The first is idle then, the second is over.
    peer(0).send(headers(1, OK, END));
    await settled();
    assert.equal(server.conns.length, 2);
    peer(1).send(headers(1, OK));
    await settled();
    assert.equal(server.conns.length, 2);
    peer(1).end();
    await settled();
    peer(2).send(headers(1, OK, END));
    await settled();
    assert.deepEqual(
      answers.map(({ summary }) => summary.slice(0, 4)),
      ['200 ', '200 ', '200 '],
    );
    const { breaker } = link('a').cluster;
    assert.deepEqual([pool.size, breaker.held('connections'), breaker.held('pending')], [1, 1, 0]);
  });

  it('refuses who would wait for such a place where nobody may wait, or nobody has one', async () => {
    const { ask, server } = http2Rig();
    const pooled = { ...limited(1), http: { http1MaxPendingRequests: 1 } };
    ask({}, server.endpoint.link(pooled, 'a'));
    await settled();
    const waits = ask({}, server.endpoint.link(pooled, 'b')).answer;
    const refused = ask({}, server.endpoint.link(pooled, 'c')).answer;
    const alone = http2Rig();
    const held = alone.server.endpoint.link(limited(1));
    assert.ok(held.cluster.breaker.hold('connections'));
    const unplaced = alone.ask({}, held).answer;
    await settled();
    assert.deepEqual(
      [waits, refused, unplaced].map(({ summary }) => summary),
      ['nothing', 'HTTP_OVERFLOW 503 UO unsent', 'HTTP_OVERFLOW 503 UO unsent'],
    );
  });

  it('takes the place of an idle session, of the cluster or of all', async () => {
    for (const [pooled, sessionsMax] of [
      [limited(1), 8],
      [{}, 1],
    ] as const) {
      const { ask, server, pool, peer } = http2Rig({ sessionsMax });
      ask({}, server.endpoint.link(pooled, 'a'));
      await settled();
      peer(0).send(headers(1, OK, END));
      await settled();
      const link = server.endpoint.link(pooled, 'b');
      const { answer } = ask({}, link);
      await settled();
      peer(1).send(headers(1, OK, END));
      await settled();
      assert.equal(answer.summary, '200 ');
      assert.ok(peer(0).frames.some((text) => /^GOAWAY/.test(text)));
      assert.deepEqual([pool.size, link.cluster.breaker.held('connections')], [1, 1]);
    }
  });

  it('refuses beyond its own bound, and counts', async () => {
    const { ask, server, pool } = http2Rig({ sessionsMax: 1 });
    ask({}, server.endpoint.link({}, 'a'));
    await settled();
    const { answer } = ask({}, server.endpoint.link({}, 'b'));
    await settled();
    assert.equal(answer.summary, 'HTTP_OVERFLOW 503 UO unsent');
    assert.deepEqual([pool.size, pool.sessions.refused], [1, 1]);
  });
});

describe('Http2Pool: the end of a session', () => {
  it('uses one no more after GOAWAY, and lets it end what it carries', async () => {
    const { ask, server, pool, peer } = http2Rig();
    const first = ask().answer;
    await settled();
    peer(0).send(goaway(1));
    await settled();
    const second = ask().answer;
    await settled();
    peer(0).send(headers(1, OK, END));
    peer(1).send(headers(1, OK, END));
    await settled();
    assert.deepEqual([first.summary, second.summary], ['200 ', '200 ']);
    assert.ok(peer(0).isEnded);
    peer(0).end();
    await settled();
    assert.deepEqual([server.conns.length, pool.size], [2, 1]);
  });

  for (const [usesMax, opened] of [
    [0, 1],
    [1, 4],
    [2, 2],
  ] as const) {
    it(`opens ${opened} for four requests at ${usesMax} a session`, async () => {
      const { ask, server, peer } = http2Rig();
      const link = server.endpoint.link(http({ maxRequestsPerConnection: usesMax }));
      for (let request = 0; request < 4; request += 1) {
        const { answer } = ask({}, link);
        await settled();
        const index = server.conns.length - 1;
        const stream = usesMax === 0 ? 1 + 2 * request : 1 + 2 * (request % usesMax);
        peer(index).send(headers(stream, OK, END));
        await settled();
        assert.equal(answer.summary, '200 ');
      }
      assert.equal(server.conns.length, opened);
    });
  }

  it('uses one while the settings of the cluster stay, and no longer', async () => {
    const { ask, server, peer } = http2Rig();
    const dials: number[] = [];
    for (const [maxConnections, stream] of [
      [5, 1],
      [5, 3],
      [1, 1],
    ] as const) {
      ask({}, server.endpoint.link(limited(maxConnections)));
      await settled();
      dials.push(server.conns.length);
      peer(server.conns.length - 1).send(headers(stream, OK, END));
      await settled();
    }
    assert.deepEqual(dials, [1, 1, 2]);
    assert.ok(peer(0).isEnded);
  });

  for (const [title, settingsOf, isClosed, hasLeft = () => false] of [
    ['idleTimeout of http', http({ idleTimeoutMs: 15_000 }), true],
    ['idleTimeout of tcp', { tcp: { idleTimeoutMs: 15_000 } }, true],
    ['none', http({ idleTimeoutMs: 0 }), false],
    ['an hour by default', {}, false],
    ['whose endpoint has left', {}, true, () => true],
    ['whose endpoint is there', {}, false, () => false],
  ] as const satisfies readonly (readonly [string, object, boolean, (() => boolean)?])[]) {
    it(`closes what is idle, and nothing that is not: ${title}`, async () => {
      const { ask, server, pool, peer, clock } = http2Rig();
      const running = pool.run();
      ask({}, { ...server.endpoint.link(settingsOf, 'idle'), hasLeft });
      ask(
        { method: 'POST', body: new GivenBody([], { staysOpen: true }) },
        { ...server.endpoint.link(settingsOf, 'busy'), hasLeft },
      );
      await settled();
      peer(0).send(headers(1, OK, END));
      peer(1).send(headers(1, OK));
      await settled();
      for (let sweep = 0; sweep < 3; sweep += 1) {
        clock.advance(10_000);
        await settled(2);
      }
      assert.equal(pool.size, isClosed ? 1 : 2);
      pool.destroy();
      await running;
    });
  }

  it('ends all with the pool, refuses who waits, and who comes later', async () => {
    const { ask, server, pool } = http2Rig();
    const link = server.endpoint.link({ ...limited(1), ...http({ maxConcurrentStreams: 1 }) });
    const asked = [ask({}, link).answer, ask({}, link).answer];
    await settled();
    pool.destroy();
    asked.push(ask({}, link).answer);
    await settled();
    assert.deepEqual(
      asked.map(({ summary }) => summary),
      [
        'HTTP_UPSTREAM_CLOSED 503 UC sent',
        'HTTP_CONNECT_FAILURE 503 UF unsent',
        'HTTP_CONNECT_FAILURE 503 UF unsent',
      ],
    );
    assert.equal(link.cluster.breaker.held('connections'), 0);
    assert.equal(link.cluster.breaker.held('pending'), 0);
  });
});

describe('Http2Pool: a dial', () => {
  it('that fails is told to all who wait for it, and the next one is made anew', async () => {
    const { ask, server, peer } = http2Rig();
    server.gate = Promise.reject(new MeshError('X', 'nobody there', { side: 'upstream' }));
    server.gate.catch(() => undefined);
    const asked = [ask().answer, ask().answer];
    await settled();
    assert.deepEqual(
      asked.map(({ summary }) => summary),
      ['HTTP_CONNECT_FAILURE 503 UF unsent', 'HTTP_CONNECT_FAILURE 503 UF unsent'],
    );
    server.gate = undefined;
    const { answer } = ask();
    await settled();
    peer(0).send(headers(1, OK, END));
    await settled();
    assert.equal(answer.summary, '200 ');
    assert.deepEqual(
      [server.endpoint.dials, server.endpoint.link().cluster.breaker.held('connections')],
      [2, 1],
    );
  });

  it('goes on when who asked has gone, for who comes next', async () => {
    const { ask, server, pool } = http2Rig();
    const gate = Promise.withResolvers<void>();
    server.gate = gate.promise;
    const { attempt } = ask();
    attempt.abort(new HttpError('HTTP_TIMEOUT', 'too late', { side: 'upstream' }));
    gate.resolve();
    await settled();
    assert.equal(pool.size, 1);
    ask();
    await settled();
    assert.equal(server.endpoint.dials, 1);
  });

  it('ends with the pool', async () => {
    const { ask, server, pool } = http2Rig();
    const gate = Promise.withResolvers<void>();
    server.gate = gate.promise;
    const link = server.endpoint.link();
    let signal: AbortSignal | undefined;
    const dial = async (own: AbortSignal): Promise<ByteConn> => {
      signal = own;
      return await link.dial(own);
    };
    const { answer } = ask({}, { ...link, dial });
    await settled();
    pool.destroy();
    gate.resolve();
    await settled();
    assert.equal(signal?.aborted, true);
    assert.deepEqual([answer.summary, pool.size], ['HTTP_CONNECT_FAILURE 503 UF unsent', 0]);
    assert.equal(link.cluster.breaker.held('connections'), 0);
  });

  it('to somebody who hangs up at once fails who wait, and is not repeated for ever', async () => {
    const { ask, server, pool } = http2Rig();
    const { answer } = ask();
    await settled(0);
    await Promise.resolve();
    await Promise.resolve();
    server.conns[0]?.destroy();
    await settled();
    assert.match(answer.summary, /^HTTP_(UPSTREAM_CLOSED|CONNECT_FAILURE) 503/);
    assert.deepEqual([server.endpoint.dials, pool.size], [1, 0]);
  });
});
