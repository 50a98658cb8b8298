/** What a malicious server may do to a pool: a bound, a counter and an answer for each, and others are served beside it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import {
  data,
  frame,
  goaway,
  headers,
  ping,
  reset,
  settings,
  settled,
  windowUpdate,
} from '@ambit/h2/testing';
import { http1Rig, OK } from '../fixtures/http1-rig.ts';
import { http2Rig } from '../fixtures/http2-rig.ts';
import { Answer, GivenBody, settle } from '../fixtures/upstream.ts';
import type { H1ErrorCode } from '../h1/errors.ts';
import { Http2Pool } from './http2-pool.ts';
import { RESPONSE_HEAD_TIMEOUT_MS } from './slow-heads.ts';
import { upstreamCounters } from './upstream-counters.ts';

const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
const LENGTH = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n';
const many = (text: string, count: number): string => text.repeat(count);

/** `begins`: the answer has begun before it is seen. */
const HTTP1: readonly (readonly [string, string, H1ErrorCode, boolean?])[] = [
  ['endless interim answers', many('HTTP/1.1 102 Processing\r\n\r\n', 20), 'H1_INTERIM_TOO_MANY'],
  ['a status line without end', `HTTP/1.1 200 ${many('x', 20_000)}`, 'H1_START_LINE_INVALID'],
  ['a header without end', `${LENGTH}x: ${many('y', 70_000)}`, 'H1_FIELDS_TOO_LARGE'],
  ['headers without end', `${LENGTH}${many('x: y\r\n', 200)}`, 'H1_FIELDS_TOO_MANY'],
  [
    'a header bomb in an interim answer',
    `HTTP/1.1 103 X\r\n${many('x: y\r\n', 200)}`,
    'H1_FIELDS_TOO_MANY',
  ],
  ['trailers without end', `${CHUNKED}0\r\n${many('x: y\r\n', 100)}`, 'H1_TRAILERS_TOO_MANY', true],
  ['a trailer without end', `${CHUNKED}0\r\nx: ${many('y', 9_000)}`, 'H1_TRAILERS_TOO_LARGE', true],
  [
    'a trailer that frames',
    `${CHUNKED}0\r\ncontent-length: 5\r\n\r\n`,
    'H1_TRAILER_FORBIDDEN',
    true,
  ],
  [
    'chunk extensions without end',
    `${CHUNKED}1;${many('x', 300)}`,
    'H1_CHUNK_EXTENSION_TOO_LONG',
    true,
  ],
  [
    'many chunk extensions',
    `${CHUNKED}${many(`1;${many('x', 200)}\r\na\r\n`, 30)}`,
    'H1_CHUNK_EXTENSION_TOO_LONG',
    true,
  ],
  ['a chunk size without end', `${CHUNKED}${many('0', 20)}`, 'H1_CHUNK_SIZE_TOO_LONG', true],
  ['a chunk that is longer than it says', `${CHUNKED}1\r\nab\r\n`, 'H1_CHUNK_END_INVALID', true],
  ['both framings', `${LENGTH}transfer-encoding: chunked\r\n\r\n`, 'H1_LENGTH_AND_CHUNKED'],
  ['two lengths', `${LENGTH}content-length: 3\r\n\r\n`, 'H1_CONTENT_LENGTH_REPEATED'],
  [
    'a negative length',
    'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n',
    'H1_CONTENT_LENGTH_INVALID',
  ],
  ['a hidden framing', `${LENGTH}transfer_encoding: chunked\r\n\r\n`, 'H1_FIELD_NAME_CONFUSABLE'],
  [
    'chunked, not last',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, x\r\n\r\n',
    'H1_TRANSFER_ENCODING_INVALID',
  ],
  ['a folded line', `${LENGTH} x: y\r\n\r\n`, 'H1_OBS_FOLD'],
  ['a zero byte', `${LENGTH}x: \0\r\n\r\n`, 'H1_FIELD_VALUE_INVALID'],
  [
    'a switch to what nobody asked for',
    'HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n',
    'H1_SWITCH_UNEXPECTED',
  ],
];

describe('a malicious server of HTTP/1', () => {
  for (const [what, text, code, begins = false] of HTTP1) {
    it(`ends its own connection and nobody else’s: ${what}`, async () => {
      const { server, ask, pool } = http1Rig();
      const attacked = ask().answer;
      await settle();
      const beside = ask({}, server.endpoint.link({}, 'another')).answer;
      await settle();
      server.say(text, 0);
      await settle();
      server.say(OK, 1);
      await settle();
      assert.match(attacked.summary, begins ? /^200 .*broke off$/ : /^HTTP_UPSTREAM_RESET 502 UPE/);
      assert.equal(pool.refusals.of(code), 1);
      const sessions = new Http2Pool({ clock: new FakeClock(), sessionsMax: 1 });
      assert.equal(upstreamCounters(pool, sessions).responsesRefused, 1);
      assert.deepEqual([beside.summary, pool.size, pool.idle], ['200 ab', 1, 1]);
    });
  }

  it('sends a head byte by byte for so long, and no longer', async () => {
    for (const [waitMs, isCut] of [
      [RESPONSE_HEAD_TIMEOUT_MS - 10_000, false],
      [RESPONSE_HEAD_TIMEOUT_MS + 20_000, true],
    ] as const) {
      const { server, ask, pool, clock } = http1Rig();
      const running = pool.run();
      const slow = ask().answer;
      await settle(2);
      const thinking = ask({}, server.endpoint.link({}, 'another')).answer;
      await settle(2);
      for (let passed = 0; passed < waitMs; passed += 10_000) {
        server.say(OK.charAt(passed / 10_000), 0);
        await settle(2);
        clock.advance(10_000);
        await settle(2);
      }
      assert.equal(slow.summary, isCut ? 'HTTP_UPSTREAM_CLOSED 503 UC sent' : 'nothing');
      assert.equal(pool.refusals.of('H1_HEAD_TIMEOUT'), isCut ? 1 : 0);
      assert.equal(thinking.summary, 'nothing', 'who thinks is waited for');
      pool.destroy();
      await running;
    }
  });

  it('answers the next request with what nobody asked for, and is not believed', async () => {
    const { server, ask, pool } = http1Rig();
    const first = ask().answer;
    await settle();
    server.say(`${OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged`);
    await settle();
    assert.deepEqual([first.summary, pool.idle], ['200 ab', 0]);
    assert.equal(pool.refusals.of('H1_UNSOLICITED'), 1);
    const second = ask().answer;
    await settle();
    server.say(OK);
    await settle();
    assert.deepEqual([second.summary, server.conns.length], ['200 ab', 2]);
  });

  it('sends what nobody reads, as far as one read of the connection', async () => {
    const { server, ask } = http1Rig();
    const { answer } = ask({}, undefined, new Answer({ reads: false }));
    await settle();
    server.say('HTTP/1.1 200 OK\r\n\r\n');
    let written = 0;
    const piece = Buffer.alloc(64 * 1024);
    while (server.conns[0]?.write(piece) === true && written < 64 * 1024 * 1024) {
      written += piece.length;
      await settle(2);
    }
    assert.ok(written < 1024 * 1024, `${written} were taken`);
    assert.equal(answer.bytes, 0);
  });
});

const CONTINUATION = 9;
const PUSH_PROMISE = 5;
const HEADERS = 1;
const repeat = (one: Buffer, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => one));

interface Attack {
  readonly what: string;
  readonly bytes: Buffer;
  /** What is counted. */
  readonly count: (pool: ReturnType<typeof http2Rig>['pool']) => number;
  /** Ends one stream only. */
  readonly isOfStream?: boolean;
}

const flooded =
  (name: keyof ReturnType<typeof http2Rig>['pool']['counters']['floods']): Attack['count'] =>
  ({ counters }) =>
    counters.floods[name];

const HTTP2: readonly Attack[] = [
  { what: 'settings', bytes: repeat(settings(), 100), count: flooded('settings') },
  { what: 'pings', bytes: repeat(ping(), 300), count: flooded('pings') },
  {
    what: 'window updates',
    bytes: repeat(windowUpdate(0, 1), 3_000),
    count: flooded('windowUpdates'),
  },
  {
    what: 'frames of no known type',
    bytes: repeat(frame(0xef, 0, 'x'), 200),
    count: flooded('unknownFrames'),
  },
  {
    what: 'empty DATA',
    bytes: Buffer.concat([headers(1, [':status', '200']), repeat(data(1, ''), 200)]),
    count: flooded('emptyData'),
  },
  {
    what: 'CONTINUATION without end',
    bytes: Buffer.concat([frame(HEADERS, 1, 'x'), repeat(frame(CONTINUATION, 1, 'x'), 50)]),
    count: ({ counters }) => counters.boundsReached,
  },
  {
    what: 'a window beyond 2^31-1',
    bytes: repeat(windowUpdate(0, 0x7fffffff), 2),
    count: ({ counters }) => counters.protocolErrors,
  },
  {
    what: 'a frame that is too large',
    bytes: frame(0, 1, Buffer.alloc(20_000)),
    count: ({ counters }) => counters.protocolErrors,
  },
  {
    what: 'a push',
    bytes: frame(PUSH_PROMISE, 1, '\0\0\0\x02', 4),
    count: ({ counters }) => counters.protocolErrors,
  },
  {
    what: 'a table index that is none',
    bytes: frame(HEADERS, 1, '\xff\x80\x80\x80\x01', 4),
    count: ({ counters }) => counters.protocolErrors,
  },
  {
    what: 'HTTP/1',
    bytes: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    count: ({ counters }) => counters.protocolErrors,
  },
  {
    what: 'a header bomb',
    bytes: headers(1, [':status', '200', ...Array.from({ length: 400 }, () => 'x')]),
    count: ({ counters }) => counters.streamErrors,
    isOfStream: true,
  },
  {
    what: 'a trailer bomb',
    bytes: Buffer.concat([
      headers(1, [':status', '200']),
      headers(
        1,
        Array.from({ length: 400 }, () => 'x'),
        1,
      ),
    ]),
    count: ({ counters }) => counters.streamErrors,
    isOfStream: true,
  },
  {
    what: 'endless interim answers',
    bytes: repeat(headers(1, [':status', '102']), 20),
    count: (pool) => pool.interimsRefused,
    isOfStream: true,
  },
  {
    what: 'more than it announced',
    bytes: Buffer.concat([headers(1, [':status', '200', 'content-length', '1']), data(1, 'abc')]),
    count: ({ counters }) => counters.streamErrors,
    isOfStream: true,
  },
];

describe('a malicious server of HTTP/2', () => {
  for (const { what, bytes, count, isOfStream = false } of HTTP2) {
    it(`ends its own ${isOfStream ? 'stream' : 'session'} and nobody else’s: ${what}`, async () => {
      const { server, ask, pool, peer } = http2Rig();
      const attacked = ask().answer;
      const neighbour = ask().answer;
      const beside = ask({}, server.endpoint.link({}, 'another')).answer;
      await settled();
      peer(1);
      peer(0).send(bytes);
      await settled(30);
      peer(1).send(headers(1, [':status', '200'], 1));
      if (isOfStream) {
        peer(0).send(headers(3, [':status', '200'], 1));
      }
      await settled();
      assert.match(attacked.summary, /502 UPE|broke off$/);
      assert.equal(attacked.ends, 1);
      assert.match(neighbour.summary, isOfStream ? /^200 $/ : /^HTTP_UPSTREAM/);
      assert.equal(beside.summary, '200 ');
      assert.ok(count(pool) > 0, 'counted');
      const { responsesRefused, floods } = upstreamCounters(http1Rig().pool, pool);
      assert.ok(responsesRefused + floods > 0, 'and told');
      assert.equal(
        [...peer(0).frames].some((text) => /^GOAWAY/.test(text)),
        !isOfStream,
      );
    });
  }

  it('resets every stream, and is left when it does so too often', async () => {
    const { ask, peer, pool, clock } = http2Rig();
    ask();
    await settled();
    peer(0, [3, 1 << 20]);
    await settled();
    let refused = 0;
    for (let n = 0; n < 2_100; n += 100) {
      // With a body, none is sent again.
      const asked = Array.from({ length: 100 }, () => {
        const body = new GivenBody([]);
        return ask({ method: 'POST', body }).answer;
      });
      await settled(2);
      const last = pool.counters.streams;
      peer(0).send(...asked.map((_, index) => reset(1 + 2 * (last - 100 + index), 7)));
      await settled(2);
      refused += asked.filter(({ error }) => error?.refused === true).length;
    }
    assert.ok(refused >= 1_900, `${refused} were refused`);
    assert.equal(pool.counters.floods.resets, 1);
    assert.equal(clock.now(), 0);
  });

  it('says GOAWAY to every session, and each request is tried twice', async () => {
    const { ask, peer, server } = http2Rig();
    for (let round = 0; round < 5; round += 1) {
      const { answer } = ask();
      await settled();
      for (const session of [0, 1]) {
        assert.equal(server.endpoint.dials, 2 * round + session + 1);
        peer(2 * round + session).send(goaway(0));
        await settled();
      }
      assert.equal(answer.summary, 'HTTP_UPSTREAM_RESET 503 UR unsent refused');
      assert.equal(server.endpoint.dials, 2 * round + 2);
    }
  });
});
