/** Requests: what is read, what is refused and with which code, by the paragraphs of RFC 9112 and RFC 9110. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { H1Error, type H1ErrorCode, H1Refusals } from './errors.ts';
import { collectRequests } from './fixtures/collect.ts';
import type { H1RequestHead } from './message.ts';
import { RequestDecoder } from './request-decoder.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';

function headOf(text: string): H1RequestHead {
  const { messages, refused } = collectRequests([text]);
  assert.equal(refused, undefined, text);
  const [message] = messages;
  assert.ok(message !== undefined, text);
  return message.head;
}

/** Name of the case, bytes, what the head must say. */
const ACCEPTED: readonly (readonly [string, string, Partial<H1RequestHead>])[] = [
  ['origin form', `${GET}\r\n`, { method: 'GET', target: '/', form: 'origin', path: '/' }],
  ['one empty line before (§2.2)', `\r\n${GET}\r\n`, { method: 'GET', authority: 'a' }],
  ['a query', 'GET /a?b=c&d HTTP/1.1\r\nHost: a\r\n\r\n', { path: '/a?b=c&d' }],
  [
    'what a normaliser decides about',
    'GET //a/../%2f\\;x HTTP/1.1\r\nHost: a\r\n\r\n',
    { path: '//a/../%2f\\;x' },
  ],
  ['a method of its own', 'M-SEARCH /a HTTP/1.1\r\nHost: a\r\n\r\n', { method: 'M-SEARCH' }],
  [
    'absolute form (§3.2.2)',
    'GET http://a:80/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n',
    { form: 'absolute', path: '/x?y', authority: 'a:80' },
  ],
  [
    'absolute form in other letters',
    'GET HTTP://A/x HTTP/1.1\r\nHost: a\r\n\r\n',
    { path: '/x', authority: 'A' },
  ],
  ['absolute form without path', 'GET http://a HTTP/1.1\r\nHost: a\r\n\r\n', { path: '/' }],
  ['absolute form, query only', 'GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n', { path: '/?q' }],
  [
    'asterisk form (§3.2.4)',
    'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
    { form: 'asterisk', path: '*' },
  ],
  ['OPTIONS of a whole server', 'OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n', { path: '*' }],
  [
    'authority form (§3.2.3)',
    'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n',
    { form: 'authority', authority: 'a:443', path: '' },
  ],
  [
    'an address as host',
    'GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n\r\n',
    { authority: '[fd00::1]:80' },
  ],
  ['a name in lower case, a value as sent', `${GET}X-A:B c\r\n\r\n`, { fields: ['x-a', 'B c'] }],
  ['white space around a value', `${GET}a: \t b \t\r\n\r\n`, { fields: ['a', 'b'] }],
  ['an empty value', `${GET}a:\r\nb: \r\n\r\n`, { fields: ['a', '', 'b', ''] }],
  ['a value with colons', `${GET}a: b: c\r\n\r\n`, { fields: ['a', 'b: c'] }],
  ['bytes above ASCII in a value', `${GET}a: \xff\x80\r\n\r\n`, { fields: ['a', '\xff\x80'] }],
  ['names of Object', `${GET}__proto__: x\r\n\r\n`, { fields: ['__proto__', 'x'] }],
  [
    'repetition in order',
    `${GET}b: 1\r\na: 2\r\nB: 3\r\n\r\n`,
    { fields: ['b', '1', 'a', '2', 'b', '3'] },
  ],
  [
    'no body without framing (§6.3)',
    `POST / HTTP/1.1\r\nHost: a\r\n\r\n`,
    { body: { kind: 'none' } },
  ],
  ['a length', `${GET}Content-Length: 0\r\n\r\n`, { body: { kind: 'length', bytes: 0 } }],
  ['chunked', `${GET}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, { body: { kind: 'chunked' } }],
  [
    'chunked in capitals (§7)',
    `${GET}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n`,
    { body: { kind: 'chunked' } },
  ],
  [
    'a tab before chunked (RFC 9110 §5.6.3)',
    `${GET}Transfer-Encoding:\tchunked \r\n\r\n0\r\n\r\n`,
    { body: { kind: 'chunked' } },
  ],
  ['persistence (§9.3)', `${GET}\r\n`, { keepAlive: true, connection: [] }],
  ['close', `${GET}Connection: close\r\n\r\n`, { keepAlive: false }],
  [
    'close among others',
    `${GET}Connection: Keep-Alive, , CLOSE\r\n\r\n`,
    { keepAlive: false, connection: ['keep-alive', 'close'] },
  ],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', { version: '1.0', keepAlive: false, authority: '' }],
  [
    'HTTP/1.0 that wants to stay',
    'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n',
    { keepAlive: false },
  ],
  [
    'Expect with a body',
    `${GET}Expect: 100-Continue\r\nContent-Length: 0\r\n\r\n`,
    { expectsContinue: false },
  ],
  [
    'Expect of HTTP/1.0 (RFC 9110 §10.1.1)',
    'GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n',
    { expectsContinue: false },
  ],
  [
    'an upgrade (RFC 9110 §7.8)',
    `${GET}Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n`,
    { upgrade: 'websocket' },
  ],
  ['Upgrade without the option', `${GET}Upgrade: websocket\r\n\r\n`, { upgrade: undefined }],
  [
    'Upgrade of HTTP/1.0',
    'GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    { upgrade: undefined },
  ],
  ['TE: trailers', `${GET}TE: gzip, Trailers\r\n\r\n`, { takesTrailers: true }],
  ['underscores', `${GET}x_y: 1\r\n\r\n`, { fields: ['x_y', '1'] }],
];

const REFUSED: readonly (readonly [string, string, H1ErrorCode])[] = [
  ['TLS', '\x16\x03\x01\x02\x00', 'H1_METHOD_INVALID'],
  ['a method in small letters', 'get / HTTP/1.1\r\n', 'H1_METHOD_INVALID'],
  ['no method', ' / HTTP/1.1\r\n', 'H1_METHOD_INVALID'],
  ['a colon in the method', 'GE:T / HTTP/1.1\r\n', 'H1_METHOD_INVALID'],
  ['a long method', `${'A'.repeat(33)} / HTTP/1.1\r\n`, 'H1_METHOD_TOO_LONG'],
  ['two empty lines before', `\r\n\r\n${GET}\r\n`, 'H1_METHOD_INVALID'],
  ['an empty line of LF before', `\n${GET}\r\n`, 'H1_BARE_LF'],
  ['HTTP/0.9', 'GET /\r\n', 'H1_HTTP09'],
  ['the preface of HTTP/2 (RFC 9113 §3.4)', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'H1_HTTP2_PREFACE'],
  ['HTTP/2.0', 'GET / HTTP/2.0\r\n', 'H1_VERSION_UNSUPPORTED'],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\n', 'H1_VERSION_UNSUPPORTED'],
  ['a version in small letters (§2.3)', 'GET / http/1.1\r\n', 'H1_VERSION_INVALID'],
  ['a version with more digits', 'GET / HTTP/1.10\r\n', 'H1_VERSION_INVALID'],
  ['a version with a sign', 'GET / HTTP/+1.\r\n', 'H1_VERSION_INVALID'],
  ['another protocol', 'GET / RTSP/1.0\r\n', 'H1_VERSION_INVALID'],
  ['two spaces (§3)', 'GET  / HTTP/1.1\r\n', 'H1_START_LINE_INVALID'],
  ['two spaces before the version', 'GET /  HTTP/1.1\r\n', 'H1_START_LINE_INVALID'],
  ['a space at the end', 'GET / HTTP/1.1 \r\n', 'H1_START_LINE_INVALID'],
  ['a tab as separator', 'GET\t/ HTTP/1.1\r\n', 'H1_METHOD_INVALID'],
  ['a space in the target (§3.2)', 'GET /a b HTTP/1.1\r\n', 'H1_START_LINE_INVALID'],
  ['a fragment', 'GET /a#b HTTP/1.1\r\n', 'H1_TARGET_INVALID'],
  ['a byte above ASCII in the target', 'GET /\xe4 HTTP/1.1\r\n', 'H1_TARGET_INVALID'],
  ['NUL in the target', 'GET /\0 HTTP/1.1\r\n', 'H1_TARGET_INVALID'],
  ['CR in the target', 'GET /\rx HTTP/1.1\r\n', 'H1_HTTP09'],
  ['a relative target', 'GET a HTTP/1.1\r\nHost: a\r\n\r\n', 'H1_TARGET_INVALID'],
  ['an asterisk but not OPTIONS', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 'H1_TARGET_INVALID'],
  [
    'authority form but not CONNECT',
    'GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n',
    'H1_TARGET_INVALID',
  ],
  ['CONNECT in origin form', 'CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n', 'H1_TARGET_INVALID'],
  ['CONNECT without port', 'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n', 'H1_TARGET_INVALID'],
  ['CONNECT to another than Host', 'CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n', 'H1_HOST_MISMATCH'],
  ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'H1_TARGET_INVALID'],
  [
    'userinfo (RFC 9110 §4.2.4)',
    'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n',
    'H1_TARGET_INVALID',
  ],
  ['no authority', 'GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n', 'H1_TARGET_INVALID'],
  ['absolute form against Host', 'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n', 'H1_HOST_MISMATCH'],
  [
    'absolute form with another port',
    'GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n',
    'H1_HOST_MISMATCH',
  ],
  ['no Host (§3.2)', 'GET / HTTP/1.1\r\n\r\n', 'H1_HOST_MISSING'],
  ['two Hosts', `${GET}Host: a\r\n\r\n`, 'H1_HOST_REPEATED'],
  ['two Hosts of HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n', 'H1_HOST_REPEATED'],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 'H1_HOST_INVALID'],
  ['a list as Host', 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n', 'H1_HOST_INVALID'],
  ['a space in Host', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'H1_HOST_INVALID'],
  ['userinfo in Host', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', 'H1_HOST_INVALID'],
  ['a path in Host', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 'H1_HOST_INVALID'],
  ['a port that is no number', 'GET / HTTP/1.1\r\nHost: a:b\r\n\r\n', 'H1_HOST_INVALID'],
  ['an empty port', 'GET / HTTP/1.1\r\nHost: a:\r\n\r\n', 'H1_HOST_INVALID'],
  ['an escape in Host', 'GET / HTTP/1.1\r\nHost: a%2e\r\n\r\n', 'H1_HOST_INVALID'],
  ['LF alone after the first line (§2.2)', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 'H1_BARE_LF'],
  ['LF alone after a field', 'GET / HTTP/1.1\r\nHost: a\n\r\n', 'H1_BARE_LF'],
  ['LF alone at the end', `${GET}\n`, 'H1_BARE_LF'],
  ['CR alone after the first line', 'GET / HTTP/1.1\rHost: a\r\n\r\n', 'H1_BARE_CR'],
  ['CR alone in a value (§2.2)', `${GET}a: b\rc: d\r\n\r\n`, 'H1_BARE_CR'],
  ['CR CR LF', `${GET}a: b\r\r\n\r\n`, 'H1_BARE_CR'],
  ['CR X instead of an empty line', `${GET}\rX`, 'H1_BARE_CR'],
  ['a folded line (§5.2)', `${GET}a: b\r\n c\r\n\r\n`, 'H1_OBS_FOLD'],
  ['a folded line with a tab', `${GET}a: b\r\n\tc\r\n\r\n`, 'H1_OBS_FOLD'],
  [
    'white space before the first field (§2.2)',
    'GET / HTTP/1.1\r\n Host: a\r\n\r\n',
    'H1_OBS_FOLD',
  ],
  ['a space before the colon (§5.1)', `${GET}a : b\r\n\r\n`, 'H1_FIELD_SPACE_BEFORE_COLON'],
  ['a tab before the colon', `${GET}a\t: b\r\n\r\n`, 'H1_FIELD_SPACE_BEFORE_COLON'],
  ['no name', `${GET}: b\r\n\r\n`, 'H1_FIELD_NAME_EMPTY'],
  ['no colon', `${GET}abc\r\n\r\n`, 'H1_FIELD_NO_COLON'],
  ['a name that is no token', `${GET}a(b: c\r\n\r\n`, 'H1_FIELD_NAME_INVALID'],
  ['a byte above ASCII in a name', `${GET}\xe4: c\r\n\r\n`, 'H1_FIELD_NAME_INVALID'],
  ['NUL in a name', `${GET}a\0: c\r\n\r\n`, 'H1_FIELD_NAME_INVALID'],
  ['NUL in a value', `${GET}a: b\0c\r\n\r\n`, 'H1_FIELD_VALUE_INVALID'],
  ['a control byte in a value', `${GET}a: b\x0bc\r\n\r\n`, 'H1_FIELD_VALUE_INVALID'],
  ['DEL in a value', `${GET}a: \x7f\r\n\r\n`, 'H1_FIELD_VALUE_INVALID'],
  [
    'an option that takes out what frames',
    `${GET}Connection: content-length\r\n\r\n`,
    'H1_CONNECTION_INVALID',
  ],
  [
    'an option that takes out who asks',
    `${GET}Connection: Authorization\r\n\r\n`,
    'H1_CONNECTION_INVALID',
  ],
  ['an option that is no token', `${GET}Connection: a b\r\n\r\n`, 'H1_CONNECTION_INVALID'],
  ['another expectation', `${GET}Expect: 200-ok\r\n\r\n`, 'H1_EXPECT_UNSUPPORTED'],
  ['two expectations', `${GET}Expect: 100-continue\r\nExpect: x\r\n\r\n`, 'H1_EXPECT_UNSUPPORTED'],
  ['an end in the head', 'GET / HTTP/1.1\r\nHost: a\r\n', 'H1_TRUNCATED'],
  ['an end in the body', `${GET}Content-Length: 2\r\n\r\na`, 'H1_TRUNCATED'],
  ['an end in a chunk', `${GET}Transfer-Encoding: chunked\r\n\r\n2\r\na`, 'H1_TRUNCATED'],
  [
    'an end before the last chunk',
    `${GET}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n`,
    'H1_TRUNCATED',
  ],
  ['an end in the trailers', `${GET}Transfer-Encoding: chunked\r\n\r\n0\r\n`, 'H1_TRUNCATED'],
];

describe('RequestDecoder', () => {
  for (const [name, text, expected] of ACCEPTED) {
    it(`reads ${name}`, () => {
      const head = headOf(text);
      for (const [key, value] of Object.entries(expected)) {
        assert.deepEqual(head[key as keyof H1RequestHead], value, key);
      }
    });
  }

  for (const [name, text, code] of REFUSED) {
    it(`refuses ${name}: ${code}`, () => {
      assert.equal(collectRequests([text]).refused, code);
    });
  }

  it('takes requests one after another, and the bodies that are theirs', () => {
    const { messages, refused } = collectRequests([
      `POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc${GET}\r\n`,
      'POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
      '3\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 1\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\n\r\n',
    ]);
    assert.equal(refused, undefined);
    assert.deepEqual(
      messages.map(({ head, body, trailers }) => [head.path, body, trailers]),
      [
        ['/1', 'abc', []],
        ['/', '', []],
        ['/2', 'abcd', ['x-sum', '1']],
        ['/3', '', []],
      ],
    );
  });

  it('reads no request before the one in work is over', () => {
    const decoder = new RequestDecoder();
    decoder.push(Buffer.from(`${GET}\r\n${GET}\r\n`));
    assert.equal(decoder.read()?.kind, 'head');
    assert.throws(() => decoder.next());
    assert.equal(decoder.read()?.kind, 'end');
    assert.equal(decoder.read(), undefined);
    assert.equal(decoder.heldBytes, GET.length + 2);
    decoder.next();
    assert.equal(decoder.read()?.kind, 'head');
    assert.equal(decoder.heldBytes, 0);
  });

  it('holds no more than its bound of what nobody reads', () => {
    const refusals = new H1Refusals();
    const decoder = new RequestDecoder({ limits: { heldBytesMax: 100 }, refusals });
    decoder.push(Buffer.alloc(100, 0x41));
    assert.throws(() => decoder.push(Buffer.from('A')), { code: 'H1_HELD_TOO_MUCH' });
    assert.equal(decoder.heldBytes, 0);
    assert.equal(refusals.of('H1_HELD_TOO_MUCH'), 1);
  });

  it('hands over what came behind CONNECT, and reads no request from it', () => {
    const connect = 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n';
    const { messages, rest } = collectRequests([`${connect}${GET}`, '\r\n']);
    assert.equal(messages.length, 1);
    assert.equal(rest, `${GET}\r\n`);
  });

  it('reads on after an upgrade that is not granted only if nothing came early', () => {
    const upgrade = `${GET}Connection: upgrade\r\nUpgrade: x\r\n\r\n`;
    assert.equal(collectRequests([upgrade, `${GET}\r\n`]).messages.length, 2);
    const early = collectRequests([`${upgrade}${GET}\r\n`]);
    assert.equal(early.messages.length, 1);
    assert.equal(early.rest, `${GET}\r\n`);
  });

  it('does not offer an upgrade behind a body', () => {
    const head = headOf(`${GET}Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\na`);
    assert.equal(head.upgrade, undefined);
  });

  it('surfaces Expect where a body follows', () => {
    const head = headOf(`${GET}Expect: 100-continue\r\nContent-Length: 1\r\n\r\na`);
    assert.equal(head.expectsContinue, true);
  });

  it('says the same for ever after a refusal, and takes nothing in', () => {
    const refusals = new H1Refusals();
    const decoder = new RequestDecoder({ refusals });
    decoder.push(Buffer.from('\0'));
    assert.throws(() => decoder.read(), {
      code: 'H1_METHOD_INVALID',
      status: 400,
      side: 'downstream',
    });
    decoder.push(Buffer.from(`${GET}\r\n`));
    assert.throws(() => decoder.read(), H1Error);
    assert.equal(decoder.heldBytes, 0);
    assert.deepEqual([...refusals], [['H1_METHOD_INVALID', 1]]);
  });

  it('is idle between requests, and after a stray empty line', () => {
    const decoder = new RequestDecoder();
    assert.equal(decoder.isIdle, true);
    decoder.push(Buffer.from('\r\n'));
    decoder.end();
    assert.equal(decoder.read(), undefined);
    assert.equal(decoder.isIdle, true);
    const begun = new RequestDecoder();
    begun.push(Buffer.from('G'));
    assert.equal(begun.read(), undefined);
    assert.equal(begun.isIdle, false);
  });
});
