/** A request over a connection of HTTP/1 and its answer: bodies both ways, breaks, repeats, and that nothing hangs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import { HttpError } from '../errors.ts';
import { exchange, http1Rig, OK } from '../fixtures/http1-rig.ts';
import {
  Answer,
  GivenBody,
  type requestOf,
  type ScriptedServer,
  describe as say,
  settle,
} from '../fixtures/upstream.ts';
import type { FieldLines } from '../h1/message.ts';
import type { TryRequest } from './try.ts';

const ABORTED = new HttpError('HTTP_TRY_TIMEOUT', 'no answer in time', { side: 'upstream' });

describe('Http1Try: a request', () => {
  it('is one write with its body, and its answer ends with its trailers', async () => {
    const { server, ask } = http1Rig();
    const body = new GivenBody(['hello']);
    const { answer } = ask({ method: 'POST', body, contentLength: 5, fields: ['x-a', '1'] });
    await settle();
    assert.equal(
      server.heard(),
      'POST / HTTP/1.1\r\nhost: reviews\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello',
    );
    assert.deepEqual(server.recorders[0]?.events, ['data']);
    server.say('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-b: 2\r\n\r\n2\r\nab\r\n');
    await settle();
    assert.equal(answer.summary, '200 ab…');
    assert.deepEqual(answer.response?.headers.lines, ['x-b', '2']);
    server.say('0\r\ngrpc-status: 0\r\n\r\n');
    await settle();
    assert.deepEqual([answer.summary, answer.trailers], ['200 ab', ['grpc-status', '0']]);
    assert.equal(body.cancelled, 0);
  });

  const writes: readonly (readonly [string, Parameters<typeof requestOf>[0], string])[] = [
    [
      'chunks a body of unknown length',
      { method: 'POST', body: new GivenBody(['ab', 'c'], { trailers: ['x-t', '1'] }) },
      'POST / HTTP/1.1\r\nhost: reviews\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n',
    ],
    [
      'leaves a request without body bare',
      { fields: ['content-length', '5', 'transfer-encoding', 'chunked', 'connection', 'close'] },
      'GET / HTTP/1.1\r\nhost: reviews\r\n\r\n',
    ],
    [
      'says the length 0 of a POST',
      { method: 'POST', contentLength: 0 },
      'POST / HTTP/1.1\r\nhost: reviews\r\ncontent-length: 0\r\n\r\n',
    ],
    [
      'makes one cookie of its pieces',
      { fields: ['cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'] },
      'GET / HTTP/1.1\r\nhost: reviews\r\nx: y\r\ncookie: a=1; b=2\r\n\r\n',
    ],
  ];
  for (const [what, over, text] of writes) {
    it(what, async () => {
      const { server, ask } = http1Rig();
      ask(over);
      await settle();
      assert.equal(server.heard(), text);
    });
  }

  const responses: readonly (readonly [
    string,
    Partial<TryRequest>,
    string,
    string,
    boolean,
    number | undefined,
  ])[] = [
    ['HEAD', { method: 'HEAD' }, 'HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n', '200 ', true, 7],
    ['204', {}, 'HTTP/1.1 204 No Content\r\n\r\n', '204 ', true, undefined],
    ['304', {}, 'HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n', '304 ', true, 9],
    ['a length of 0', {}, 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', '200 ', true, 0],
    ['a length', {}, OK, '200 ab', false, 2],
    [
      'chunks',
      {},
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      '200 ',
      false,
      undefined,
    ],
  ];
  for (const [what, over, text, summary, isEmpty, length] of responses) {
    it(`reads an answer by ${what}, and keeps the connection`, async () => {
      const { pool, server, ask } = http1Rig();
      const { answer } = ask(over);
      await settle();
      server.say(text);
      await settle();
      assert.equal(answer.summary, summary);
      assert.deepEqual(
        [answer.response?.isEmpty, answer.response?.contentLength],
        [isEmpty, length],
      );
      assert.equal(pool.idle, 1);
    });
  }

  it('reads a body until the server closes, and takes a reset there for a break', async () => {
    for (const isWhole of [true, false]) {
      const { pool, server, ask } = http1Rig();
      const { answer } = ask();
      await settle();
      server.say('HTTP/1.1 200 OK\r\n\r\nabc');
      await settle();
      if (isWhole) {
        server.conns[0]?.end();
      } else {
        server.conns[0]?.destroy(new MeshError('X', 'reset', { side: 'local' }));
      }
      await settle();
      assert.equal(answer.summary, isWhole ? '200 abc' : '200 abc broke off');
      assert.deepEqual([pool.idle, pool.size, answer.ends], [0, 0, 1]);
    }
  });

  it('hands interim answers on', async () => {
    const { server, ask } = http1Rig();
    const { answer } = ask();
    await settle();
    server.say(`HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${OK}`);
    await settle();
    assert.deepEqual(answer.interims, [103, 102]);
    assert.equal(answer.summary, '200 ab');
  });

  it('takes out of an answer what concerns the hop, and what its Connection names', async () => {
    const { server, ask } = http1Rig();
    const { answer } = ask();
    await settle();
    server.say(
      'HTTP/1.1 200 OK\r\nconnection: x-hop, close\r\nx-hop: 1\r\nkeep-alive: 5\r\nx-b: 2\r\ncontent-length: 0\r\n\r\n',
    );
    await settle();
    const names = answer.response?.headers.lines.filter((_, index) => index % 2 === 0);
    assert.deepEqual(
      names?.filter((name) => name !== 'content-length'),
      ['x-b'],
    );
  });
});

describe('Http1Try: bodies', () => {
  it('holds the answer back until somebody reads it, and while told to', async () => {
    const { server, ask, pool } = http1Rig();
    const { answer } = ask({}, undefined, new Answer({ reads: false }));
    await settle();
    const big = 'x'.repeat(300_000);
    server.say(`HTTP/1.1 200 OK\r\ncontent-length: ${2 * big.length}\r\n\r\n${big}`);
    await settle();
    assert.equal(answer.response?.status, 200);
    assert.equal(server.conns[0]?.write(Buffer.from(big)), false, 'the server waits');
    answer.response?.body.pause();
    answer.response?.body.start(answer);
    await settle();
    assert.equal(answer.bytes, 0);
    answer.response?.body.resume();
    await settle();
    assert.equal(answer.bytes, 2 * big.length);
    assert.deepEqual([answer.ends, pool.idle], [1, 1]);
  });

  it('holds the request back while the server does not read', async () => {
    const { server, ask } = http1Rig();
    const piece = new Uint8Array(40_000);
    const body = new GivenBody(Array.from({ length: 20 }, () => piece));
    ask({ method: 'POST', body, contentLength: 20 * piece.length });
    await settle(0);
    await Promise.resolve();
    server.conns[0]?.pause();
    await settle();
    assert.ok(body.pauses > 0 && body.left > 10, `${body.left} are left`);
    server.conns[0]?.resume();
    await settle(40);
    assert.deepEqual([body.left, body.cancelled], [0, 0]);
    assert.ok((server.recorders[0]?.bytes ?? 0) > 20 * piece.length);
  });

  it('cuts a request whose body breaks off, and sends nothing that completes it', async () => {
    const gone = new MeshError('X', 'gone', { side: 'downstream' });
    for (const contentLength of [undefined, 10]) {
      const { server, ask, pool } = http1Rig();
      const body = new GivenBody(['abc'], { staysOpen: true, failure: gone });
      const { answer } = ask({ method: 'POST', body, contentLength });
      await settle();
      body.finish();
      await settle();
      assert.equal(answer.summary, 'HTTP_CLIENT_GONE 0 DC sent');
      assert.doesNotMatch(server.heard(), /0\r\n\r\n$/);
      assert.ok(server.recorders[0]?.events.includes('close'));
      assert.deepEqual([pool.size, answer.ends], [0, 1]);
    }
  });

  for (const [what, pieces] of [
    ['longer', ['abcdef']],
    ['shorter', ['ab']],
  ] as const) {
    it(`cuts a request whose body is ${what} than announced`, async () => {
      const { server, ask, pool } = http1Rig();
      const { answer } = ask({ method: 'POST', body: new GivenBody(pieces), contentLength: 4 });
      await settle();
      assert.equal(answer.summary, 'HTTP_INTERNAL 500 - unsent');
      assert.doesNotMatch(server.heard(), /abcd/);
      assert.equal(pool.size, 0);
    });
  }

  it('stops sending when the answer is whole before the request, and never reuses the connection', async () => {
    const { server, ask, pool } = http1Rig();
    const body = new GivenBody(['abc'], { staysOpen: true });
    const { answer } = ask({ method: 'POST', body });
    await settle();
    server.say(OK);
    await settle();
    assert.equal(answer.summary, '200 ab');
    assert.deepEqual([body.cancelled, pool.idle, pool.size, answer.ends], [1, 0, 0, 1]);
  });

  it('goes on sending while an answer that began early lasts', async () => {
    const { server, ask, pool } = http1Rig();
    const body = new GivenBody(['abc'], { staysOpen: true });
    const { answer } = ask({ method: 'POST', body });
    await settle();
    server.say('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n');
    await settle();
    body.push('def');
    body.finish();
    await settle();
    assert.match(server.heard(), /def\r\n0\r\n\r\n$/);
    server.say('0\r\n\r\n');
    await settle();
    assert.deepEqual([answer.summary, pool.idle], ['200 ab', 1]);
  });

  it('ends the connection when nobody wants the rest of an answer', async () => {
    const { server, ask, pool } = http1Rig();
    const { answer } = ask({}, undefined, new Answer({ reads: false }));
    await settle();
    server.say('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc');
    await settle();
    answer.response?.body.cancel();
    await settle();
    assert.deepEqual([pool.size, answer.ends], [0, 0]);
  });
});

describe('Http1Try: an empty answer that nobody wants', () => {
  it('leaves the connection to others, whenever it is said', async () => {
    for (const isAtOnce of [true, false]) {
      const { server, ask, pool } = http1Rig();
      const answer = new Answer({ reads: false });
      if (isAtOnce) {
        answer.onResponded = ({ body }) => body.cancel();
      }
      ask({}, undefined, answer);
      await settle();
      server.say('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n');
      await settle();
      answer.response?.body.cancel();
      await settle();
      assert.deepEqual([answer.ends, pool.idle], [0, 1]);
    }
  });
});

describe('Http1Try: an answer that cannot be read', () => {
  const wrong: readonly (readonly [string, string])[] = [
    ['both framings', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n'],
    ['bare LF', 'HTTP/1.1 200 OK\nx: y\n\n'],
    ['another protocol', 'SSH-2.0-x\r\n'],
    [
      '101 that nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n',
    ],
    ['a header of 100 KB', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`],
    ['1000 headers', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(1_000)}`],
    ['endless interim answers', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)],
  ];
  for (const [what, text] of wrong) {
    it(`is refused with 502: ${what}`, async () => {
      const { server, ask, pool } = http1Rig();
      const { answer } = ask();
      await settle();
      server.say(text);
      await settle();
      assert.equal(answer.summary, 'HTTP_UPSTREAM_RESET 502 UPE sent');
      assert.equal(pool.size, 0);
      assert.equal([...pool.refusals].length, 1);
    });
  }

  it('breaks off in its body', async () => {
    const { server, ask } = http1Rig();
    const { answer } = ask();
    await settle();
    server.say('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nxyz\r\n');
    await settle();
    assert.equal(answer.summary, '200 ab broke off');
    assert.equal(
      answer.bodyError instanceof HttpError && say(answer.bodyError),
      'HTTP_UPSTREAM_RESET 502 UPE sent',
    );
  });
});

describe('Http1Try: a server that closes', () => {
  const cases: readonly (readonly [
    string,
    Partial<TryRequest> & { fields?: FieldLines },
    string,
    boolean,
  ])[] = [
    ['GET', {}, '', true],
    ['PUT without a body', { method: 'PUT' }, '', true],
    ['POST', { method: 'POST' }, '', false],
    ['PUT with a body', { method: 'PUT', body: new GivenBody(['a']), contentLength: 1 }, '', false],
    ['GET after a byte', {}, 'H', false],
    ['GET after an interim answer', {}, 'HTTP/1.1 102 Processing\r\n\r\n', false],
  ];
  for (const [what, over, said, isRepeated] of cases) {
    it(`${isRepeated ? 'is asked again' : 'is not asked again'} on a used connection: ${what}`, async () => {
      const given = http1Rig();
      const { server, ask, pool } = given;
      await exchange(given);
      const { answer } = ask(over);
      server.say(said);
      await settle(2);
      server.conns[0]?.destroy();
      await settle();
      if (isRepeated) {
        assert.equal(server.conns.length, 2);
        server.say(OK);
        await settle();
        assert.equal(answer.summary, '200 ab');
      } else {
        assert.equal(answer.summary, 'HTTP_UPSTREAM_CLOSED 503 UC sent');
      }
      assert.equal(pool.counters.repeated, isRepeated ? 1 : 0);
      assert.equal(answer.ends, 1);
    });
  }

  for (const [what, over, said, isRepeated] of cases) {
    it(`goes ${isRepeated ? 'elsewhere' : 'nowhere'} when its endpoint is gone: ${what}`, async () => {
      const { server, ask } = http1Rig();
      const link = { ...server.endpoint.link(), isLate: () => true };
      const { answer } = ask(over, link);
      await settle();
      server.say(said);
      await settle(2);
      server.conns[0]?.destroy();
      await settle();
      assert.equal(server.conns.length, 1);
      const [failure] = answer.summary.split(' ');
      assert.equal(failure, isRepeated ? 'HTTP_CONNECT_FAILURE' : 'HTTP_UPSTREAM_CLOSED');
      assert.equal(answer.ends, 1);
    });
  }

  it('is not asked again on a new connection, nor a third time', async () => {
    const given = http1Rig();
    const { server, ask, pool } = given;
    const first = ask().answer;
    await settle();
    server.conns[0]?.destroy();
    await settle();
    assert.equal(first.summary, 'HTTP_UPSTREAM_CLOSED 503 UC sent');
    await exchange(given);
    const second = ask().answer;
    await settle();
    server.conns[1]?.destroy();
    await settle();
    server.conns[2]?.destroy();
    await settle();
    assert.equal(second.summary, 'HTTP_UPSTREAM_CLOSED 503 UC sent');
    assert.deepEqual([server.conns.length, pool.counters.repeated, pool.size], [3, 1, 0]);
  });

  it('is not used while idle when it says or ends something', async () => {
    for (const end of [
      (server: ScriptedServer) => server.say('x'),
      (server: ScriptedServer) => server.conns[0]?.end(),
    ]) {
      const given = http1Rig();
      await exchange(given);
      assert.equal(given.pool.idle, 1);
      end(given.server);
      await settle();
      assert.deepEqual([given.pool.idle, given.pool.size], [0, 0]);
    }
  });
});

describe('Http1Try: an abort', () => {
  it('ends a try wherever it is, tells nobody, and leaves nothing held', async () => {
    for (const stage of ['dialling', 'sent', 'answered', 'over'] as const) {
      const { server, ask, pool } = http1Rig();
      const gate = Promise.withResolvers<void>();
      server.gate = stage === 'dialling' ? gate.promise : undefined;
      const link = server.endpoint.link();
      const { answer, attempt } = ask({}, link);
      await settle();
      if (stage === 'answered') {
        server.say('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc');
      } else if (stage === 'over') {
        server.say(OK);
      }
      await settle();
      attempt.abort(ABORTED);
      attempt.abort(ABORTED);
      gate.resolve();
      await settle();
      const told = {
        dialling: 'nothing',
        sent: 'nothing',
        answered: '200 abc broke off',
        over: '200 ab',
      };
      assert.equal(answer.summary, told[stage]);
      const { breaker } = link.cluster;
      assert.equal(breaker.held('pending'), 0);
      assert.equal(breaker.held('connections'), stage === 'over' ? 1 : 0);
      assert.equal(pool.size, stage === 'over' ? 1 : 0);
    }
  });

  it('tells a reader that comes after it', async () => {
    const { server, ask } = http1Rig();
    const { answer, attempt } = ask({}, undefined, new Answer({ reads: false }));
    await settle();
    server.say(OK);
    await settle();
    attempt.abort(ABORTED);
    answer.response?.body.start(answer);
    assert.equal(answer.bodyError, ABORTED);
  });
});

describe('Http1Try: a request that cannot be written', () => {
  for (const [what, over] of [
    ['a value with a line end', { fields: ['x', 'a\r\nb: c'] }],
    ['a value that has no bytes', { fields: ['x', '\u{1f600}'] }],
    ['a path with a blank', { path: '/a b' }],
    ['a method that is none', { method: 'G T' }],
    ['an authority that is none', { authority: 'a b' }],
  ] as const) {
    it(`is refused and leaves the connection as it was: ${what}`, async () => {
      const given = http1Rig();
      const { server, ask, pool } = given;
      await exchange(given);
      const body = new GivenBody(['a']);
      const { answer } = ask({ ...over, body });
      assert.equal(answer.summary, 'nothing', 'not within the call');
      await settle();
      assert.equal(answer.summary, 'HTTP_INTERNAL 500 - unsent');
      assert.deepEqual([pool.idle, body.isStarted, body.cancelled], [1, false, 1]);
      assert.equal(server.heard().match(/HTTP/g)?.length, 1);
    });
  }

  it('is refused when it announces a body that it does not have', async () => {
    const { ask, pool, server } = http1Rig();
    const { answer } = ask({ method: 'POST', contentLength: 5 });
    await settle();
    assert.equal(answer.summary, 'HTTP_INTERNAL 500 - unsent');
    assert.deepEqual([server.heard(), pool.idle], ['', 1]);
  });
});
