/** Connections of HTTP/1: who waits for one, who may share one, how long it stays, and what it may become. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConnectionPoolSettings } from '@ambit/api';
import { MeshError } from '@ambit/core';
import type { ByteConn, ByteSink } from '@ambit/proxy';
import { HttpError } from '../errors.ts';
import { exchange, http1Rig, OK } from '../fixtures/http1-rig.ts';
import { Answer, requestOf, settle } from '../fixtures/upstream.ts';

describe('Http1Pool: limits of a cluster', () => {
  const limited = (
    maxConnections: number,
    http1MaxPendingRequests = 100,
  ): ConnectionPoolSettings => ({
    tcp: { maxConnections },
    http: { http1MaxPendingRequests },
  });

  it('lets a request wait for a place, first come first served', async () => {
    const { server, ask } = http1Rig();
    const link = server.endpoint.link(limited(1));
    const asked = [1, 2, 3].map((n) => ask({ path: `/${n}` }, link).answer);
    for (const answer of asked) {
      await settle();
      server.say(OK, 0);
      await settle();
      assert.equal(answer.summary, '200 ab');
    }
    assert.equal(server.conns.length, 1);
    assert.deepEqual(server.heard(0).match(/\/\d /g), ['/1 ', '/2 ', '/3 ']);
    assert.equal(link.cluster.breaker.held('pending'), 0);
  });

  it('refuses one more than may wait, and serves the others', async () => {
    const { server, ask } = http1Rig();
    const link = server.endpoint.link(limited(1, 1));
    const first = ask({}, link);
    await settle();
    const second = ask({}, link);
    const third = ask({}, link);
    assert.equal(third.answer.summary, 'nothing', 'not within the call');
    await settle();
    assert.equal(third.answer.summary, 'HTTP_OVERFLOW 503 UO unsent');
    server.say(OK);
    await settle();
    server.say(OK);
    await settle();
    assert.deepEqual([first.answer.summary, second.answer.summary], ['200 ab', '200 ab']);
  });

  it('takes the place of an idle connection to another endpoint', async () => {
    const given = http1Rig();
    const { server } = given;
    await exchange(given, {}, server.endpoint.link(limited(1), 'a'));
    const answer = await exchange(given, {}, server.endpoint.link(limited(1), 'b'));
    assert.equal(answer.summary, '200 ab');
    assert.deepEqual([server.conns.length, given.pool.size], [2, 1]);
    assert.ok(server.recorders[0]?.events.includes('end'));
  });

  it('says that a connection was over before it was used', async () => {
    const { server, ask, pool } = http1Rig();
    const link = server.endpoint.link();
    const dial = async (signal: AbortSignal): Promise<ByteConn> => {
      const conn = await link.dial(signal);
      // Told at once, as a transport may.
      return Object.assign(Object.create(conn) as ByteConn, {
        start: (sink: ByteSink) => sink.onClose(),
      });
    };
    const { answer } = ask({}, { ...link, dial });
    await settle();
    assert.equal(answer.summary, 'HTTP_CONNECT_FAILURE 503 UF unsent');
    assert.deepEqual([pool.size, link.cluster.breaker.held('connections')], [0, 0]);
  });

  it('gives a place on when a dial fails, and says why to who dialled', async () => {
    const { server, ask } = http1Rig();
    const link = server.endpoint.link(limited(1));
    server.gate = Promise.reject(new MeshError('X', 'nobody there', { side: 'upstream' }));
    server.gate.catch(() => undefined);
    const first = ask({}, link).answer;
    const second = ask({}, link).answer;
    await Promise.resolve();
    server.gate = undefined;
    await settle();
    assert.equal(first.summary, 'HTTP_CONNECT_FAILURE 503 UF unsent');
    assert.match(String(first.error), /nobody there/);
    server.say(OK);
    await settle();
    assert.equal(second.summary, '200 ab');
  });

  it('dials for nobody who took the request back within the read that brought it', async () => {
    const { server, ask, pool } = http1Rig();
    const link = server.endpoint.link(limited(1));
    let dials = 0;
    const dial = async (signal: AbortSignal): Promise<ByteConn> => {
      dials += 1;
      return await link.dial(signal);
    };
    const { attempt } = ask({}, { ...link, dial });
    attempt.abort(new HttpError('HTTP_CLIENT_GONE', 'gone', { side: 'downstream' }));
    await settle();
    assert.deepEqual([dials, pool.size, link.cluster.breaker.held('connections')], [0, 0, 0]);
    const next = ask({}, { ...link, dial });
    await settle();
    server.say(OK);
    await settle();
    assert.deepEqual([next.answer.summary, dials], ['200 ab', 1]);
  });

  for (const [usesMax, opened, closes] of [
    [0, 1, 0],
    [1, 4, 4],
    [2, 2, 2],
  ] as const) {
    it(`opens ${opened} for four requests at ${usesMax} a connection`, async () => {
      const given = http1Rig();
      const link = given.server.endpoint.link({ http: { maxRequestsPerConnection: usesMax } });
      for (let request = 0; request < 4; request += 1) {
        await exchange(given, {}, link);
      }
      assert.equal(given.pool.counters.opened, opened);
      const heard = given.server.recorders.map(({ text }) => text).join('');
      assert.equal(heard.split('connection: close').length - 1, closes, 'the server is told');
    });
  }

  for (const [title, settings, isClosed, hasLeft = () => false] of [
    ['idleTimeout of http', { http: { idleTimeoutMs: 15_000 } }, true],
    ['idleTimeout of tcp', { tcp: { idleTimeoutMs: 15_000 } }, true],
    ['none', { http: { idleTimeoutMs: 0 } }, false],
    ['an hour by default', {}, false],
    ['whose endpoint has left', {}, true, () => true],
    ['whose endpoint is there', {}, false, () => false],
  ] as const satisfies readonly (readonly [string, object, boolean, (() => boolean)?])[]) {
    it(`closes what is idle: ${title}`, async () => {
      const given = http1Rig();
      const running = given.pool.run();
      await exchange(given, {}, { ...given.server.endpoint.link(settings), hasLeft });
      for (let sweep = 0; sweep < 3; sweep += 1) {
        given.clock.advance(10_000);
        await settle(2);
      }
      assert.equal(given.pool.counters.idleClosed, isClosed ? 1 : 0);
      assert.equal(given.pool.size, isClosed ? 0 : 1);
      given.pool.destroy();
      await running;
    });
  }

  it('closes the idle connection that was not used for longest when there are too many', async () => {
    const given = http1Rig({ idleMax: 2 });
    const { server, pool } = given;
    for (const key of ['a', 'b', 'a', 'c']) {
      const asked = given.ask({}, server.endpoint.link({}, key)).answer;
      await settle();
      server.say(OK, key === 'a' ? 0 : server.conns.length - 1);
      await settle();
      assert.equal(asked.summary, '200 ab');
    }
    const ended = server.recorders.map(({ events }) => events.includes('end'));
    assert.deepEqual(ended, [false, true, false], 'that of b');
    assert.deepEqual([pool.idle, pool.size, pool.counters.idleClosed], [2, 2, 1]);
  });

  it('keeps no more idle connections than it may', async () => {
    const { server, ask, pool } = http1Rig({ idleMax: 1 });
    const asked = [ask().answer, ask().answer];
    await settle();
    server.say(OK, 0);
    server.say(OK, 1);
    await settle();
    assert.deepEqual(
      asked.map(({ summary }) => summary),
      ['200 ab', '200 ab'],
    );
    assert.deepEqual([pool.idle, pool.size], [1, 1]);
  });

  it('uses an idle connection while the settings stay, and no longer', async () => {
    const given = http1Rig();
    const dials: number[] = [];
    for (const maxConnections of [5, 5, 1]) {
      const link = given.server.endpoint.link(limited(maxConnections));
      await exchange(given, {}, link);
      dials.push(given.server.conns.length);
      assert.equal(link.cluster.breaker.held('connections'), 1);
    }
    assert.deepEqual([dials, given.pool.counters.reused], [[1, 1, 2], 1]);
  });

  it('never lets one caller ride on the connection of another', async () => {
    const given = http1Rig();
    const { server } = given;
    for (const key of ['e\nspiffe://a', 'e\nspiffe://b', 'e\nspiffe://a', 'f\nspiffe://a']) {
      await exchange(given, { path: `/${key.replace(/\W/g, '')}` }, server.endpoint.link({}, key));
    }
    // While all of them are idle, and while one waits for a place of the other.
    const heard = server.recorders.map(({ text }) => text.match(/\/\w+ /g));
    assert.deepEqual(heard, [['/espiffea ', '/espiffea '], ['/espiffeb '], ['/fspiffea ']]);
    const single = (key: string) => server.endpoint.link(limited(1), key);
    const first = given.ask({ path: '/one' }, single('a'));
    const second = given.ask({ path: '/two' }, single('b'));
    await settle();
    server.say(OK);
    await settle();
    server.say(OK);
    await settle();
    assert.deepEqual([first.answer.summary, second.answer.summary], ['200 ab', '200 ab']);
    assert.deepEqual(
      server.recorders.slice(3).map(({ text }) => text.match(/\/\w+ /g)),
      [['/one '], ['/two ']],
    );
  });
});

describe('Http1Pool.upgrade', () => {
  const ASK = {
    ...requestOf({ path: '/chat', fields: ['sec-websocket-key', 'k'] }),
    protocol: 'websocket',
  };
  const SWITCH =
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n';

  it('gives the connection away with what came behind the head, and its place back at its end', async () => {
    const given = http1Rig();
    const { server, pool } = given;
    const link = server.endpoint.link();
    await exchange(given, {}, link);
    const answer = new Answer();
    pool.upgrade(link, ASK, answer);
    await settle();
    assert.equal(server.conns.length, 2, 'a connection of its own');
    assert.match(
      server.heard(),
      /^GET \/chat HTTP\/1.1\r\n.*upgrade: websocket\r\nconnection: upgrade\r\n\r\n$/s,
    );
    server.say(`${SWITCH}early`);
    await settle();
    const { switched } = answer;
    assert.ok(switched);
    let got = '';
    switched.start({
      onData: (chunk) => {
        got += Buffer.from(chunk).toString();
      },
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose: () => undefined,
    });
    switched.write(Buffer.from('hello'));
    await settle();
    assert.equal(got, 'early');
    assert.match(server.heard(), /hello$/);
    assert.equal(link.cluster.breaker.held('connections'), 2);
    switched.destroy();
    await settle();
    assert.equal(link.cluster.breaker.held('connections'), 1);
  });

  it('passes an answer on that is no switch', async () => {
    const { server, pool } = http1Rig();
    const answer = new Answer();
    pool.upgrade(server.endpoint.link(), ASK, answer);
    await settle();
    server.say(OK);
    await settle();
    assert.deepEqual([answer.summary, answer.switched], ['200 ab', undefined]);
  });

  it('ends what was given away with the pool', async () => {
    const { server, pool } = http1Rig();
    const answer = new Answer();
    pool.upgrade(server.endpoint.link(), ASK, answer);
    await settle();
    server.say(SWITCH);
    await settle();
    pool.destroy();
    await settle();
    assert.ok(server.recorders[0]?.events.includes('end'));
    assert.equal(pool.size, 0);
  });
});

describe('Http1Pool.destroy', () => {
  it('ends all, refuses who waits, and who comes later', async () => {
    const { server, ask, pool } = http1Rig();
    const link = server.endpoint.link({ tcp: { maxConnections: 1 } });
    const asked = [ask({}, link).answer];
    await settle();
    asked.push(ask({}, link).answer);
    pool.destroy();
    asked.push(ask({}, link).answer);
    await settle();
    assert.deepEqual(
      asked.map(({ summary }) => summary),
      [
        'HTTP_UPSTREAM_CLOSED 503 UC sent',
        'HTTP_CONNECT_FAILURE 503 UF unsent',
        'HTTP_CONNECT_FAILURE 503 UF unsent',
      ],
    );
    assert.equal(link.cluster.breaker.held('connections'), 0);
    assert.equal(pool.size, 0);
  });
});
