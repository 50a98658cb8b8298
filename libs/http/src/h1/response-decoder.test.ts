/** Responses: what is read, for which request, and what is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { H1ErrorCode } from './errors.ts';
import { collectResponse } from './fixtures/collect.ts';
import type { H1ResponseHead } from './message.ts';
import { type AnsweredRequest, ResponseDecoder } from './response-decoder.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const GET: AnsweredRequest = { method: 'GET' };
const HEAD: AnsweredRequest = { method: 'HEAD' };
const CONNECT: AnsweredRequest = { method: 'CONNECT' };
const SOCKET: AnsweredRequest = { method: 'GET', upgrade: 'websocket' };

/** Case, request, bytes, body, what the head must say. */
const ACCEPTED: readonly (readonly [
  string,
  AnsweredRequest,
  string,
  string,
  Partial<H1ResponseHead>,
])[] = [
  ['a length', GET, `${OK}Content-Length: 2\r\n\r\nab`, 'ab', { status: 200, keepAlive: true }],
  ['chunks', GET, `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n`, 'ab', {}],
  ['what ends with the connection (§6.3)', GET, `${OK}\r\nab`, 'ab', { keepAlive: false }],
  ['no reason', GET, 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n', '', {}],
  ['no reason and no space', GET, 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', '', {}],
  ['bytes above ASCII in a reason', GET, 'HTTP/1.1 200 \xe4\r\nContent-Length: 0\r\n\r\n', '', {}],
  ['a length to HEAD', HEAD, `${OK}Content-Length: 5\r\n\r\n`, '', { contentLength: 5 }],
  [
    'chunked to HEAD',
    HEAD,
    `${OK}Transfer-Encoding: chunked\r\n\r\n`,
    '',
    { body: { kind: 'none' } },
  ],
  ['nothing to HEAD', HEAD, `${OK}\r\n`, '', { keepAlive: true }],
  [
    '304 with a length',
    GET,
    'HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n',
    '',
    { contentLength: 5 },
  ],
  ['204', GET, 'HTTP/1.1 204 x\r\n\r\n', '', { keepAlive: true }],
  ['204 with a length of 0', GET, 'HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n', '', {}],
  ['close', GET, `${OK}Connection: close\r\nContent-Length: 0\r\n\r\n`, '', { keepAlive: false }],
  ['HTTP/1.0', GET, 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na', 'a', { keepAlive: false }],
  [
    'HTTP/1.0 that stays (§9.3)',
    GET,
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na',
    'a',
    { keepAlive: true },
  ],
  [
    '101 to what was asked for',
    SOCKET,
    'HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n',
    '',
    { upgrade: 'websocket' },
  ],
  ['an answer to CONNECT', CONNECT, `${OK}\r\n`, '', { body: { kind: 'none' } }],
  ['a refusal of CONNECT', CONNECT, 'HTTP/1.1 403 x\r\nContent-Length: 1\r\n\r\na', 'a', {}],
];

const REFUSED: readonly (readonly [string, AnsweredRequest, string, H1ErrorCode])[] = [
  ['a request', GET, 'GET / HTTP/1.1\r\n', 'H1_VERSION_INVALID'],
  ['HTTP/2', GET, 'HTTP/2.0 200 OK\r\n', 'H1_VERSION_UNSUPPORTED'],
  ['ICY', GET, 'ICY 200 OK\r\n', 'H1_VERSION_INVALID'],
  ['an empty line before', GET, `\r\n${OK}\r\n`, 'H1_VERSION_INVALID'],
  ['two digits', GET, 'HTTP/1.1 20 OK\r\n', 'H1_STATUS_INVALID'],
  ['four digits', GET, 'HTTP/1.1 2000 OK\r\n', 'H1_STATUS_INVALID'],
  ['099', GET, 'HTTP/1.1 099 OK\r\n', 'H1_STATUS_INVALID'],
  ['600', GET, 'HTTP/1.1 600 OK\r\n', 'H1_STATUS_INVALID'],
  ['two spaces', GET, 'HTTP/1.1  200 OK\r\n', 'H1_STATUS_INVALID'],
  ['a control byte in the reason', GET, 'HTTP/1.1 200 O\0K\r\n', 'H1_START_LINE_INVALID'],
  ['LF alone', GET, 'HTTP/1.1 200 OK\n', 'H1_BARE_LF'],
  ['CR alone', GET, 'HTTP/1.1 200 OK\rX', 'H1_BARE_CR'],
  ['a folded line', GET, `${OK}a: b\r\n c\r\n\r\n`, 'H1_OBS_FOLD'],
  ['a long reason', GET, `HTTP/1.1 200 ${'a'.repeat(20_000)}\r\n`, 'H1_START_LINE_INVALID'],
  [
    'two lengths',
    GET,
    `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`,
    'H1_CONTENT_LENGTH_REPEATED',
  ],
  [
    'a length and chunks',
    GET,
    `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
    'H1_LENGTH_AND_CHUNKED',
  ],
  ['a bad length to HEAD', HEAD, `${OK}Content-Length: x\r\n\r\n`, 'H1_CONTENT_LENGTH_INVALID'],
  [
    'gzip as coding',
    GET,
    `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`,
    'H1_TRANSFER_ENCODING_UNSUPPORTED',
  ],
  [
    'chunks in HTTP/1.0',
    GET,
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    'H1_TRANSFER_ENCODING_IN_HTTP10',
  ],
  [
    '204 with a body (§6.3)',
    GET,
    'HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\na',
    'H1_BODY_NOT_ALLOWED',
  ],
  [
    '103 with chunks',
    GET,
    'HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n',
    'H1_BODY_NOT_ALLOWED',
  ],
  ['a tunnel with a length', CONNECT, `${OK}Content-Length: 0\r\n\r\n`, 'H1_BODY_NOT_ALLOWED'],
  [
    '101 that nobody asked for',
    GET,
    'HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    'H1_SWITCH_UNEXPECTED',
  ],
  [
    '101 to something else',
    SOCKET,
    'HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    'H1_SWITCH_UNEXPECTED',
  ],
  ['101 that does not say to what', SOCKET, 'HTTP/1.1 101 x\r\n\r\n', 'H1_SWITCH_UNEXPECTED'],
  ['interim responses without end', GET, 'HTTP/1.1 103 x\r\n\r\n'.repeat(9), 'H1_INTERIM_TOO_MANY'],
  ['an end before the head', GET, '', 'H1_TRUNCATED'],
  ['an end in the head', GET, OK, 'H1_TRUNCATED'],
  ['an end in the body', GET, `${OK}Content-Length: 2\r\n\r\na`, 'H1_TRUNCATED'],
  ['an end in a chunk', GET, `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\na`, 'H1_TRUNCATED'],
];

describe('ResponseDecoder', () => {
  for (const [name, request, text, body, expected] of ACCEPTED) {
    it(`reads ${name}`, () => {
      const { messages, refused } = collectResponse([text], request);
      assert.equal(refused, undefined);
      assert.equal(messages[0]?.isWhole, true);
      assert.equal(messages[0]?.body, body);
      for (const [key, value] of Object.entries(expected)) {
        assert.deepEqual(messages[0]?.head[key as keyof H1ResponseHead], value, key);
      }
    });
  }

  for (const [name, request, text, code] of REFUSED) {
    it(`refuses ${name}: ${code}`, () => {
      assert.equal(collectResponse([text], request).refused, code);
    });
  }

  it('gives interim responses before the one that counts', () => {
    const { messages, interims } = collectResponse([
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
      `${OK}Content-Length: 1\r\n\r\na`,
    ]);
    assert.deepEqual(
      interims.map(({ status, fields }) => [status, fields]),
      [
        [100, []],
        [103, ['link', '</a>']],
      ],
    );
    assert.equal(messages[0]?.body, 'a');
  });

  it('answers for a refusal with 502 and names the upstream', () => {
    const decoder = new ResponseDecoder();
    decoder.begin(GET);
    decoder.push(Buffer.from('HTTP/1.1 200 OK\n'));
    assert.throws(() => decoder.read(), { code: 'H1_BARE_LF', status: 502, side: 'upstream' });
  });

  it('refuses a response that comes before the request, or behind another', () => {
    const early = new ResponseDecoder();
    early.push(Buffer.from(`${OK}Content-Length: 0\r\n\r\n`));
    assert.throws(() => early.begin(GET), { code: 'H1_UNSOLICITED' });
    const idle = new ResponseDecoder();
    idle.push(Buffer.from('H'));
    assert.equal(idle.isReusable, false);
    assert.throws(() => idle.read(), { code: 'H1_UNSOLICITED' });
    const behind = new ResponseDecoder();
    behind.begin(GET);
    behind.push(Buffer.from(`${OK}Content-Length: 0\r\n\r\n${OK}`));
    assert.equal(behind.read()?.kind, 'head');
    assert.equal(behind.read()?.kind, 'end');
    assert.equal(behind.isReusable, false);
    assert.throws(() => behind.read(), { code: 'H1_UNSOLICITED' });
  });

  it('is reusable between responses that leave the connection open', () => {
    const decoder = new ResponseDecoder();
    assert.equal(decoder.isReusable, true);
    decoder.begin(GET);
    assert.equal(decoder.isReusable, false);
    assert.equal(decoder.hasBegun, false);
    assert.throws(() => decoder.begin(GET));
    decoder.push(Buffer.from(`${OK}Content-Length: 0\r\n\r\n`));
    assert.equal(decoder.read()?.kind, 'head');
    assert.equal(decoder.hasBegun, true);
    assert.equal(decoder.read()?.kind, 'end');
    assert.equal(decoder.isReusable, true);
    decoder.begin(GET);
    decoder.push(Buffer.from(`${OK}Connection: close\r\nContent-Length: 0\r\n\r\n`));
    assert.equal(decoder.read()?.kind, 'head');
    assert.equal(decoder.read()?.kind, 'end');
    assert.equal(decoder.isReusable, false);
  });

  it('hands over what came behind a switch', () => {
    for (const [request, text] of [
      [SOCKET, 'HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
      [CONNECT, `${OK}\r\n`],
    ] as const) {
      const { messages, rest, refused } = collectResponse([`${text}\x01\x02`, '\x03'], request);
      assert.equal(refused, undefined);
      assert.equal(messages.length, 1);
      assert.equal(rest, '\x01\x02\x03');
    }
  });
});
