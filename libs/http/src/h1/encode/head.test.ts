/** What is written, and what cannot be. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  encodeFieldLines,
  encodeRequestHead,
  encodeResponseHead,
  type RequestToWrite,
  type ResponseToWrite,
} from './head.ts';

const REQUEST: RequestToWrite = {
  method: 'GET',
  target: '/',
  authority: 'a',
  fields: [],
  body: { kind: 'none' },
};
const RESPONSE: ResponseToWrite = { status: 200, fields: [], body: { kind: 'none' } };

const REQUESTS: readonly (readonly [string, Partial<RequestToWrite>, string])[] = [
  ['nothing more than it must', {}, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'],
  [
    'fields in order, repeated',
    { fields: ['b', '1', 'a', '2', 'b', '3'] },
    'GET / HTTP/1.1\r\nhost: a\r\nb: 1\r\na: 2\r\nb: 3\r\n\r\n',
  ],
  [
    'a length from the model, not from the list',
    {
      body: { kind: 'length', bytes: 3 },
      fields: ['content-length', '9', 'transfer-encoding', 'chunked'],
    },
    'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n',
  ],
  [
    'chunked',
    { body: { kind: 'chunked' } },
    'GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n',
  ],
  [
    'no field of the hop',
    {
      fields: [
        'connection',
        'x',
        'keep-alive',
        '1',
        'upgrade',
        'h2c',
        'http2-settings',
        'x',
        'host',
        'b',
        'te',
        'gzip',
        'expect',
        '100-continue',
        'content_length',
        '1',
      ],
    },
    'GET / HTTP/1.1\r\nhost: a\r\n\r\n',
  ],
  [
    'te with its option (RFC 9110 §10.1.4)',
    { fields: ['te', 'trailers'] },
    'GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n',
  ],
  [
    'an upgrade that is asked for',
    { upgrade: 'websocket', close: true },
    'GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: close, upgrade\r\n\r\n',
  ],
  [
    'Expect where it is meant',
    { expectsContinue: true, body: { kind: 'length', bytes: 1 } },
    'GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n',
  ],
  [
    'CONNECT',
    { method: 'CONNECT', target: 'a:1', authority: 'a:1' },
    'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n',
  ],
];

const RESPONSES: readonly (readonly [string, Partial<ResponseToWrite>, string])[] = [
  ['a status with its reason', {}, 'HTTP/1.1 200 OK\r\n\r\n'],
  ['a status without one', { status: 299 }, 'HTTP/1.1 299 \r\n\r\n'],
  [
    'a length',
    { body: { kind: 'length', bytes: 0 }, fields: ['content-length', '7'] },
    'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
  ],
  [
    'what ends with the connection',
    { body: { kind: 'until-close' } },
    'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n',
  ],
  [
    'the length of what HEAD does not get',
    { contentLength: 5 },
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n',
  ],
  [
    'no length in 204 (RFC 9110 §8.6)',
    { status: 204, contentLength: 0 },
    'HTTP/1.1 204 No Content\r\n\r\n',
  ],
  [
    'an interim response',
    { status: 103, fields: ['link', '</a>'] },
    'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n',
  ],
  [
    'a switch',
    { status: 101, upgrade: 'websocket' },
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
  ],
  [
    'set-cookie twice',
    { fields: ['set-cookie', 'a', 'set-cookie', 'b'] },
    'HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n',
  ],
];

const UNWRITABLE: readonly (readonly [string, () => string])[] = [
  ...['a\r\nb: c', 'a\nb', 'a\rb', 'a\0', 'a\x0b', 'a\x7f', 'a\u010ab', 'a\u2028'].map(
    (value) =>
      [
        `a value ${JSON.stringify(value)}`,
        () => encodeRequestHead({ ...REQUEST, fields: ['x', value] }),
      ] as const,
  ),
  ...['', 'A', 'a b', 'a:', 'a\r\n', '\xe4', ':path', 'x\u212a'].map(
    (name) =>
      [
        `a name ${JSON.stringify(name)}`,
        () => encodeResponseHead({ ...RESPONSE, fields: [name, 'x'] }),
      ] as const,
  ),
  ...['', '/ x', '/\r\n', '/#a', '/\xe4', '/\0'].map(
    (target) =>
      [
        `a target ${JSON.stringify(target)}`,
        () => encodeRequestHead({ ...REQUEST, target }),
      ] as const,
  ),
  ...['', 'get', 'GET /', 'G\r\n', 'A'.repeat(33)].map(
    (method) =>
      [
        `a method ${JSON.stringify(method)}`,
        () => encodeRequestHead({ ...REQUEST, method }),
      ] as const,
  ),
  ...['', 'a b', 'a\r\nx: y', 'u@a', 'a/b', 'a,b'].map(
    (authority) =>
      [
        `a host ${JSON.stringify(authority)}`,
        () => encodeRequestHead({ ...REQUEST, authority }),
      ] as const,
  ),
  ['an upgrade with a line', () => encodeRequestHead({ ...REQUEST, upgrade: 'a\r\nb: c' })],
  [
    'a request until the end',
    () => encodeRequestHead({ ...REQUEST, body: { kind: 'until-close' } }),
  ],
  [
    'a length below 0',
    () => encodeRequestHead({ ...REQUEST, body: { kind: 'length', bytes: -1 } }),
  ],
  [
    'a length that is no number',
    () => encodeResponseHead({ ...RESPONSE, body: { kind: 'length', bytes: Number.NaN } }),
  ],
  ['a status of 99', () => encodeResponseHead({ ...RESPONSE, status: 99 })],
  ['a status of 600', () => encodeResponseHead({ ...RESPONSE, status: 600 })],
  ['a status of 200.5', () => encodeResponseHead({ ...RESPONSE, status: 200.5 })],
  [
    '204 with a body',
    () => encodeResponseHead({ ...RESPONSE, status: 204, body: { kind: 'chunked' } }),
  ],
  [
    '304 with a body',
    () => encodeResponseHead({ ...RESPONSE, status: 304, body: { kind: 'length', bytes: 1 } }),
  ],
  [
    '103 with a body',
    () => encodeResponseHead({ ...RESPONSE, status: 103, body: { kind: 'chunked' } }),
  ],
  ['an upgrade with 200', () => encodeResponseHead({ ...RESPONSE, upgrade: 'websocket' })],
  ['a trailer with a line', () => encodeFieldLines(['a', 'b\r\n\r\nGET'])],
];

describe('encodeRequestHead', () => {
  for (const [name, request, text] of REQUESTS) {
    it(`writes ${name}`, () => {
      assert.equal(encodeRequestHead({ ...REQUEST, ...request }), text);
    });
  }
});

describe('encodeResponseHead', () => {
  for (const [name, response, text] of RESPONSES) {
    it(`writes ${name}`, () => {
      assert.equal(encodeResponseHead({ ...RESPONSE, ...response }), text);
    });
  }
});

describe('no head', () => {
  for (const [name, encode] of UNWRITABLE) {
    it(`has ${name}`, () => {
      assert.throws(encode, { code: 'H1_UNWRITABLE', side: 'local' });
    });
  }
});
