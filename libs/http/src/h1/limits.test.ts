/** Every bound of the codec, reached: the last that passes and the first that does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { H1ErrorCode } from './errors.ts';
import { collectRequests } from './fixtures/collect.ts';
import type { H1Limits } from './limits.ts';
import { RequestDecoder } from './request-decoder.ts';

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\n';
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

/** Bound, its value, what passes, what does not, the refusal. */
const BOUNDS: readonly (readonly [keyof H1Limits, number, string, string, H1ErrorCode])[] = [
  [
    'startLineBytesMax',
    20,
    'GET /1234 HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /12345 HTTP/1.1\r\nHost: a\r\n\r\n',
    'H1_TARGET_TOO_LONG',
  ],
  ['headerBytesMax', 17, `${HEAD}a: b\r\n\r\n`, `${HEAD}a: bc\r\n\r\n`, 'H1_FIELDS_TOO_LARGE'],
  ['headersMax', 2, `${HEAD}a: b\r\n\r\n`, `${HEAD}a: b\r\nc: d\r\n\r\n`, 'H1_FIELDS_TOO_MANY'],
  [
    'trailerBytesMax',
    8,
    `${CHUNKED}0\r\na: b\r\n\r\n`,
    `${CHUNKED}0\r\na: bc\r\n\r\n`,
    'H1_TRAILERS_TOO_LARGE',
  ],
  [
    'trailersMax',
    1,
    `${CHUNKED}0\r\na: b\r\n\r\n`,
    `${CHUNKED}0\r\na: b\r\nc: d\r\n\r\n`,
    'H1_TRAILERS_TOO_MANY',
  ],
  [
    'bodyBytesMax',
    3,
    `${HEAD}Content-Length: 3\r\n\r\nabc`,
    `${HEAD}Content-Length: 4\r\n\r\nabcd`,
    'H1_BODY_TOO_LARGE',
  ],
  [
    'bodyBytesMax',
    3,
    `${CHUNKED}1\r\na\r\n2\r\nbc\r\n0\r\n\r\n`,
    `${CHUNKED}1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n`,
    'H1_BODY_TOO_LARGE',
  ],
  [
    'chunkDigitsMax',
    4,
    `${CHUNKED}0001\r\na\r\n0\r\n\r\n`,
    `${CHUNKED}00001\r\na\r\n0\r\n\r\n`,
    'H1_CHUNK_SIZE_TOO_LONG',
  ],
  [
    'chunkExtensionBytesMax',
    3,
    `${CHUNKED}1;a=b\r\na\r\n0;c=d\r\n\r\n`,
    `${CHUNKED}1;a=bc\r\na\r\n0\r\n\r\n`,
    'H1_CHUNK_EXTENSION_TOO_LONG',
  ],
  [
    'chunkExtensionsBytesMax',
    6,
    `${CHUNKED}1;a=b\r\na\r\n0;c=d\r\n\r\n`,
    `${CHUNKED}1;a=b\r\na\r\n0;c=de\r\n\r\n`,
    'H1_CHUNK_EXTENSION_TOO_LONG',
  ],
];

describe('limits of the codec', () => {
  for (const [name, bound, passes, fails, code] of BOUNDS) {
    it(`${name}: ${code}, whole or byte by byte`, () => {
      const limits = { [name]: bound };
      for (const cut of [(text: string) => [text], (text: string) => [...text]]) {
        const good = collectRequests(cut(passes), { limits });
        assert.equal(good.refused, undefined);
        assert.equal(good.messages[0]?.isWhole, true);
        assert.equal(collectRequests(cut(fails), { limits }).refused, code);
      }
    });
  }

  it('refuses a header section that never ends as soon as the bound is passed', () => {
    const endless = ['GET / HTTP/1.1\r\nHost: a\r\n', ...Array<string>(1000).fill('a: b\r\n')];
    const { refused } = collectRequests(endless, {
      limits: { headersMax: 10_000, headerBytesMax: 600 },
    });
    assert.equal(refused, 'H1_FIELDS_TOO_LARGE');
  });

  it('takes time by the length of a value, whatever is in it', () => {
    // By the square of it, each of these would take hours.
    const spaces = ' '.repeat(1_000_000);
    const limits = { headerBytesMax: 4_000_000, heldBytesMax: 8_000_000 };
    for (const [line, code] of [
      [`Connection: a${spaces}b`, 'H1_CONNECTION_INVALID'],
      [`TE: a${spaces}b`, undefined],
      [`Upgrade: a${spaces}b\r\nConnection: upgrade`, undefined],
      [`Expect: a${spaces}b`, 'H1_EXPECT_UNSUPPORTED'],
      [`Transfer-Encoding: a${spaces}b`, 'H1_TRANSFER_ENCODING_INVALID'],
      [`Transfer-Encoding: chunked${spaces},${spaces}x`, 'H1_TRANSFER_ENCODING_INVALID'],
      [`Content-Length: 1${spaces}1`, 'H1_CONTENT_LENGTH_INVALID'],
      [`Content-Length: ${'1'.repeat(1_000_000)}`, 'H1_CONTENT_LENGTH_INVALID'],
      [`X: a${spaces}b`, undefined],
      [`Connection: ${'a,'.repeat(500_000)}`, 'H1_CONNECTION_INVALID'],
      [`Connection: ${','.repeat(1_000_000)}`, undefined],
    ] as const) {
      const text = `GET / HTTP/1.1\r\nHost: a\r\n${line}\r\n\r\n`;
      assert.equal(collectRequests([text], { limits }).refused, code, line.slice(0, 20));
    }
    const host = `GET / HTTP/1.1\r\nHost: a${spaces}b\r\n\r\n`;
    assert.equal(collectRequests([host], { limits }).refused, 'H1_HOST_INVALID');
  });

  it('holds no more chunks than its bound, however small', () => {
    const decoder = new RequestDecoder();
    for (let count = 0; count < 257; count += 1) {
      decoder.push(Buffer.from('A'));
    }
    assert.throws(() => decoder.push(Buffer.from('A')), { code: 'H1_HELD_TOO_MUCH' });
  });

  it('counts a header that would come after the last that counts, whatever it is', () => {
    // Node once hid such fields from code and framed by them (CVE-2026-58044).
    const many = Array.from({ length: 99 }, (_, index) => `a${index}: b\r\n`).join('');
    assert.equal(collectRequests([`${HEAD}${many}\r\n`]).messages[0]?.isWhole, true);
    const { refused, messages } = collectRequests([`${HEAD}${many}Content-Length: 1\r\n\r\na`]);
    assert.equal(refused, 'H1_FIELDS_TOO_MANY');
    assert.equal(messages.length, 0);
  });
});
