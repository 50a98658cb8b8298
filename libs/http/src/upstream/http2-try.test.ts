/** A request over a stream of HTTP/2 and its answer: bodies both ways, resets, GOAWAY, and what may be sent again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import { ERROR, MESH_LIMITS, ServerSession, type ServerStream } from '@ambit/h2';
import { data, goaway, headers, reset, settled } from '@ambit/h2/testing';
import { HttpError } from '../errors.ts';
import { http2Rig } from '../fixtures/http2-rig.ts';
import { Answer, GivenBody, type requestOf } from '../fixtures/upstream.ts';
import { HeaderList } from '../headers.ts';

const END = 0x1;
const OK = [':status', '200'];
const ABORTED = new HttpError('HTTP_TRY_TIMEOUT', 'no answer in time', { side: 'upstream' });

/** One request that the server has seen. */
async function asked(over: Parameters<typeof requestOf>[0] = {}, answer = new Answer()) {
  const rig = http2Rig();
  const { attempt } = rig.ask(over, undefined, answer);
  await settled();
  const peer = rig.peer(0);
  const said = await peer.answers();
  return { ...rig, peer, attempt, answer, request: said.find((text) => /^HEADERS/.test(text)) };
}

describe('Http2Try: a request', () => {
  const heads: readonly (readonly [string, Parameters<typeof requestOf>[0], string])[] = [
    [
      'GET',
      { fields: ['x-a', '1', 'te', 'trailers'] },
      ':method=GET :scheme=http :authority=reviews :path=/ x-a=1 te=trailers end',
    ],
    [
      'what is of HTTP/1 is left out',
      {
        fields: [
          ...['connection', 'x', 'keep-alive', '5', 'host', 'b', 'te', 'gzip', 'upgrade', 'h2c'],
          ...['transfer-encoding', 'chunked', 'content-length', '7', 'expect', '100-continue'],
        ],
      },
      ':method=GET :scheme=http :authority=reviews :path=/ end',
    ],
    [
      'a body of known length',
      { method: 'POST', body: new GivenBody([]), contentLength: 0 },
      ':method=POST :scheme=http :authority=reviews :path=/ content-length=0',
    ],
  ];
  for (const [what, over, text] of heads) {
    it(`says its head: ${what}`, async () => {
      const { request } = await asked(over);
      assert.equal(request, `HEADERS 1 ${text}`);
    });
  }

  it('sends its body and trailers, and reads those of the answer', async () => {
    const body = new GivenBody(['ab', 'cd'], { trailers: ['x-t', '1', 'content-length', '9'] });
    const { peer, answer, pool } = await asked({ method: 'POST', body });
    const sent = peer.frames.filter((text) => / 1 /.test(text)).slice(1);
    assert.deepEqual(sent, ['DATA 1 4', 'HEADERS 1 x-t=1 end']);
    peer.send(headers(1, [...OK, 'content-length', '3', 'x-b', '2']), data(1, 'abc'));
    await settled();
    assert.deepEqual([answer.summary, answer.response?.contentLength], ['200 abc…', 3]);
    peer.send(headers(1, ['grpc-status', '0', 'content-type', 'x'], END));
    await settled();
    assert.deepEqual([answer.summary, answer.trailers], ['200 abc', ['grpc-status', '0']]);
    assert.deepEqual([answer.ends, body.cancelled, pool.size], [1, 0, 1]);
  });

  it('sends as never indexed what is a secret, or came as one', async () => {
    const { ask, server, clock } = http2Rig();
    const fields = ['authorization', 'Bearer x', 'x-key', 'mine', 'x-open', 'all', 'cookie', 'a=1'];
    const { answer } = ask({ headers: HeaderList.of(fields, ['x-key']) });
    await settled();
    const [transport] = server.conns;
    assert.ok(transport);
    const secrets: (readonly string[] | undefined)[] = [];
    const onStream = (stream: ServerStream): void => {
      secrets.push(stream.request.neverIndexed);
      stream.respond({ status: 200, fields: ['x-a', '1'], neverIndexed: ['x-a'] }, { end: true });
    };
    new ServerSession({ transport, clock, limits: MESH_LIMITS, onStream });
    await settled();
    assert.deepEqual(secrets, [['authorization', 'x-key', 'cookie']]);
    assert.deepEqual(answer.response?.headers.neverIndexed, ['x-a']);
  });

  const answers: readonly (readonly [
    string,
    Parameters<typeof requestOf>[0],
    readonly Buffer[],
    string,
    boolean,
  ])[] = [
    ['END_STREAM', {}, [headers(1, OK, END)], '200 ', true],
    ['HEAD', { method: 'HEAD' }, [headers(1, [...OK, 'content-length', '7'], END)], '200 ', true],
    ['304', {}, [headers(1, [':status', '304', 'content-length', '7'], END)], '304 ', true],
    ['empty DATA', {}, [headers(1, OK), data(1, '', END)], '200 ', false],
    ['DATA', {}, [headers(1, OK), data(1, 'ab'), data(1, 'c', END)], '200 abc', false],
  ];
  for (const [what, over, frames, summary, isEmpty] of answers) {
    it(`reads an answer that ends with ${what}`, async () => {
      const { peer, answer } = await asked(over);
      peer.send(...frames);
      await settled();
      assert.deepEqual(
        [answer.summary, answer.response?.isEmpty, answer.ends],
        [summary, isEmpty, 1],
      );
    });
  }

  it('hands interim answers on, and no more than a few', async () => {
    for (const [count, summary] of [
      [8, '200 '],
      [9, 'HTTP_UPSTREAM_RESET 502 UPE sent'],
    ] as const) {
      const { peer, answer, pool } = await asked();
      for (let interim = 0; interim < count; interim += 1) {
        peer.send(headers(1, [':status', '103']));
      }
      peer.send(headers(1, OK, END));
      await settled();
      assert.deepEqual([answer.interims.length, answer.summary], [8, summary]);
      assert.equal(pool.interimsRefused, count - 8);
    }
  });
});

describe('Http2Try: bodies', () => {
  it('holds the answer back until somebody reads it, and while told to', async () => {
    const { peer, answer } = await asked({}, new Answer({ reads: false }));
    peer.send(headers(1, OK), data(1, 'ab'), data(1, 'cd', END));
    await settled();
    assert.equal(answer.summary, '200 …');
    answer.response?.body.pause();
    answer.response?.body.start(answer);
    await settled();
    assert.deepEqual([answer.bytes, answer.ends], [0, 0]);
    answer.response?.body.resume();
    await settled();
    assert.deepEqual([answer.summary, answer.ends], ['200 abcd', 1]);
  });

  it('holds the request back while the server opens no window', async () => {
    const body = new GivenBody(Array.from({ length: 40 }, () => new Uint8Array(16_000)));
    const { peer } = await asked({ method: 'POST', body });
    assert.ok(body.left > 20 && body.pauses > 0, `${body.left} are left`);
    assert.equal(peer.dataBytes, 65_535);
  });

  it('resets a request whose body breaks off, and never ends it', async () => {
    const failure = new MeshError('X', 'gone', { side: 'downstream' });
    const body = new GivenBody(['abc'], { staysOpen: true, failure });
    const { peer, answer } = await asked({ method: 'POST', body });
    body.finish();
    const said = await peer.answers();
    assert.deepEqual(said, ['RST_STREAM 1 CANCEL']);
    assert.deepEqual([answer.summary, answer.ends], ['HTTP_CLIENT_GONE 0 DC sent', 1]);
  });

  it('stops sending when the answer is whole before the request', async () => {
    const body = new GivenBody(['abc'], { staysOpen: true });
    const { peer, answer, pool } = await asked({ method: 'POST', body });
    peer.send(headers(1, OK, END));
    assert.deepEqual(await peer.answers(), ['RST_STREAM 1 CANCEL']);
    assert.deepEqual([answer.summary, answer.ends, body.cancelled], ['200 ', 1, 1]);
    assert.equal(pool.size, 1, 'the session goes on');
  });

  it('resets the stream when nobody wants the rest of an answer', async () => {
    const { peer, answer } = await asked({}, new Answer({ reads: false }));
    peer.send(headers(1, OK), data(1, 'ab'));
    await settled();
    answer.response?.body.cancel();
    assert.deepEqual(await peer.answers(), ['RST_STREAM 1 CANCEL']);
    assert.equal(answer.ends, 0);
  });
});

describe('Http2Try: an empty answer that nobody wants', () => {
  it('is not reset', async () => {
    for (const isAtOnce of [true, false]) {
      const answer = new Answer({ reads: false });
      if (isAtOnce) {
        answer.onResponded = ({ body }) => body.cancel();
      }
      const { peer } = await asked({}, answer);
      peer.send(headers(1, [':status', '503'], END));
      await settled();
      answer.response?.body.cancel();
      assert.deepEqual(await peer.answers(), []);
      assert.equal(answer.ends, 0);
    }
  });
});

describe('Http2Try: a request that the server did not process', () => {
  const unprocessed: readonly (readonly [string, readonly Buffer[], sessions: number])[] = [
    ['REFUSED_STREAM', [reset(1, ERROR.REFUSED_STREAM)], 1],
    ['GOAWAY below it', [goaway(0)], 2],
  ];
  for (const [what, frames, sessions] of unprocessed) {
    for (const method of ['GET', 'POST']) {
      it(`is sent again, once: ${what} to ${method}`, async () => {
        const { ask, peer, pool, server } = http2Rig();
        const { answer } = ask({ method });
        await settled();
        peer(0).send(...frames);
        await settled();
        assert.equal(server.conns.length, sessions);
        const again = peer(sessions - 1);
        await settled();
        const id = sessions === 1 ? 3 : 1;
        assert.ok(again.frames.some((said) => said.startsWith(`HEADERS ${id} :method=${method}`)));
        assert.deepEqual([answer.ends, pool.repeated], [0, 1]);
        again.send(reset(id, ERROR.REFUSED_STREAM));
        await settled();
        assert.equal(answer.summary, 'HTTP_UPSTREAM_RESET 503 UR unsent refused');
        assert.deepEqual([answer.ends, pool.repeated], [1, 1]);
      });
    }

    it(`is not sent again with a body, which is gone: ${what}`, async () => {
      const { ask, peer, pool, server } = http2Rig();
      const { answer } = ask({ method: 'POST', body: new GivenBody(['abc']) });
      await settled();
      peer(0).send(...frames);
      await settled();
      assert.equal(answer.summary, 'HTTP_UPSTREAM_RESET 503 UR unsent refused');
      assert.deepEqual([server.conns.length, pool.repeated], [1, 0]);
    });
  }

  it('is not sent again when nobody waits for it any more', async () => {
    const { ask, peer, pool, server } = http2Rig();
    const { attempt } = ask();
    await settled();
    peer(0).send(goaway(0));
    attempt.abort(new HttpError('HTTP_TIMEOUT', 'too late', { side: 'upstream' }));
    await settled();
    assert.deepEqual([server.conns.length, pool.repeated], [1, 0]);
  });
});

describe('Http2Try: a stream that breaks', () => {
  const before: readonly (readonly [string, readonly Buffer[], string])[] = [
    ['INTERNAL_ERROR', [reset(1, ERROR.INTERNAL_ERROR)], 'HTTP_UPSTREAM_RESET 503 UR sent'],
    ['CANCEL', [reset(1, ERROR.CANCEL)], 'HTTP_UPSTREAM_RESET 503 UR sent'],
    ['NO_ERROR', [reset(1, ERROR.NO_ERROR)], 'HTTP_UPSTREAM_CLOSED 503 UC sent'],
    [
      'a frame that is none',
      [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
      'HTTP_UPSTREAM_RESET 502 UPE sent',
    ],
    ['no :status', [headers(1, ['x', 'y'])], 'HTTP_UPSTREAM_RESET 502 UPE sent'],
    [
      'a line end in a value',
      [headers(1, [...OK, 'x', 'a\r\nb'])],
      'HTTP_UPSTREAM_RESET 502 UPE sent',
    ],
    [
      'a field of HTTP/1',
      [headers(1, [...OK, 'connection', 'close'])],
      'HTTP_UPSTREAM_RESET 502 UPE sent',
    ],
    [
      '1000 fields',
      [headers(1, [...OK, ...Array.from({ length: 2_000 }, () => 'x')])],
      'HTTP_UPSTREAM_RESET 502 UPE sent',
    ],
    ['DATA before its head', [data(1, 'a')], 'HTTP_UPSTREAM_RESET 502 UPE sent'],
  ];
  for (const [what, frames, summary] of before) {
    it(`says so before the answer: ${what}`, async () => {
      const { peer, answer } = await asked();
      peer.send(...frames);
      await settled();
      assert.deepEqual([answer.summary, answer.ends], [summary, 1]);
    });
  }

  const within: readonly (readonly [string, readonly Buffer[]])[] = [
    ['a reset', [reset(1, ERROR.INTERNAL_ERROR)]],
    ['a reset that is no error', [reset(1, ERROR.NO_ERROR)]],
    ['fewer bytes than announced', [data(1, 'a', END)]],
    ['more bytes than announced', [data(1, 'abcdefghijk')]],
  ];
  for (const [what, frames] of within) {
    it(`never takes an answer for whole that broke off: ${what}`, async () => {
      const { peer, answer } = await asked();
      peer.send(headers(1, [...OK, 'content-length', '9']), data(1, 'ab'), ...frames);
      await settled();
      assert.match(answer.summary, /broke off$/);
      assert.equal(answer.ends, 1);
    });
  }

  it('says so when the connection ends', async () => {
    for (const isAnswered of [false, true]) {
      const { peer, answer, pool } = await asked();
      if (isAnswered) {
        peer.send(headers(1, OK));
        await settled();
      }
      peer.destroy();
      await settled();
      assert.equal(
        answer.summary,
        isAnswered ? '200  broke off' : 'HTTP_UPSTREAM_CLOSED 503 UC sent',
      );
      assert.deepEqual([pool.size, answer.ends], [0, 1]);
    }
  });
});

describe('Http2Try: an abort', () => {
  it('ends a try wherever it is, tells nobody, and leaves nothing held', async () => {
    for (const stage of ['dialling', 'sent', 'answered', 'over'] as const) {
      const { ask, server, pool, peer } = http2Rig();
      const gate = Promise.withResolvers<void>();
      server.gate = stage === 'dialling' ? gate.promise : undefined;
      const link = server.endpoint.link();
      const body = new GivenBody(['a'], { staysOpen: true });
      const { answer, attempt } = ask({ method: 'POST', body }, link);
      await settled();
      if (stage === 'answered' || stage === 'over') {
        peer(0).send(headers(1, OK), data(1, 'ab', stage === 'over' ? END : 0));
        await settled();
      }
      attempt.abort(ABORTED);
      attempt.abort(ABORTED);
      gate.resolve();
      await settled();
      const told = {
        dialling: 'nothing',
        sent: 'nothing',
        answered: '200 ab broke off',
        over: '200 ab',
      };
      assert.equal(answer.summary, told[stage]);
      assert.deepEqual([body.isStarted, body.cancelled], [stage !== 'dialling', 1]);
      assert.equal(link.cluster.breaker.held('pending'), 0);
      assert.equal(pool.size, 1);
    }
  });
});

describe('Http2Try: a request that cannot be written', () => {
  for (const [what, over] of [
    ['a value with a line end', { fields: ['x', 'a\r\nb: c'] }],
    ['a value that has no bytes', { fields: ['x', '\u{1f600}'] }],
    ['a name that is none', { fields: ['a b', 'c'] }],
  ] as const) {
    it(`is refused, and the session goes on: ${what}`, async () => {
      const { ask, pool, peer } = http2Rig();
      const body = new GivenBody(['a']);
      const bad = ask({ ...over, body }).answer;
      const good = ask().answer;
      await settled();
      peer(0).send(headers(1, OK, END));
      await settled();
      assert.deepEqual([bad.summary, good.summary], ['HTTP_INTERNAL 500 - unsent', '200 ']);
      assert.deepEqual([body.isStarted, body.cancelled, pool.size], [false, 1, 1]);
    });
  }

  it('is refused when it announces a body that it does not have', async () => {
    const { answer, request } = await asked({ method: 'POST', contentLength: 5 });
    assert.deepEqual([answer.summary, request], ['HTTP_INTERNAL 500 - unsent', undefined]);
  });
});
