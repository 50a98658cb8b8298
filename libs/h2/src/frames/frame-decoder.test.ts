/** RFC 9113 §3.4, §4 and §6 by paragraph: bytes in, events out. What needs streams is tested with sessions. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';
import { EventLog, frame } from '../testing/frames.ts';
import { FrameDecoder } from './frame-decoder.ts';
import type { FrameLimits } from './frame-rules.ts';
import { FLAG, FRAME, PREFACE } from './protocol.ts';

const LIMITS: FrameLimits = {
  frameBytesMax: 16_384,
  headerBlockBytesMax: 20_000,
  continuationsMax: 4,
  settingsPerFrameMax: 8,
};
const { END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY } = FLAG;
const SETTINGS = frame(FRAME.SETTINGS, 0);

/** Events after an empty SETTINGS. */
function decode(chunks: readonly Uint8Array[], limits: Partial<FrameLimits> = {}): string[] {
  const sink = new EventLog();
  const decoder = new FrameDecoder({
    sink,
    limits: { ...LIMITS, ...limits },
    expectsPreface: false,
  });
  for (const chunk of [SETTINGS, ...chunks]) {
    decoder.push(chunk);
  }
  return sink.events.slice(1);
}

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const zeros = (length: number): Uint8Array => new Uint8Array(length);

const TAKEN: readonly (readonly [string, Uint8Array, readonly string[]])[] = [
  ['6.1 DATA', frame(FRAME.DATA, 1, 'ab'), ['data 1 flow 2', 'piece ab', 'data end +0']],
  [
    '6.1 DATA that ends',
    frame(FRAME.DATA, 1, 'a', END_STREAM),
    ['data 1 flow 1 ends', 'piece a', 'data end +0'],
  ],
  ['6.1 empty DATA', frame(FRAME.DATA, 1, ''), ['data 1 flow 0', 'data end +0']],
  [
    '6.1 padded DATA',
    frame(FRAME.DATA, 1, '\x03abc\0\0\0', PADDED),
    ['data 1 flow 7', 'piece abc', 'data end +4'],
  ],
  [
    '6.1 DATA of padding alone',
    frame(FRAME.DATA, 1, '\x02\0\0', PADDED),
    ['data 1 flow 3', 'data end +3'],
  ],
  ['6.2 HEADERS', frame(FRAME.HEADERS, 1, 'abc', END_HEADERS), ['headers 1 abc']],
  [
    '6.2 HEADERS that end',
    frame(FRAME.HEADERS, 1, 'abc', END_HEADERS | END_STREAM),
    ['headers 1 abc ends'],
  ],
  ['6.2 empty HEADERS', frame(FRAME.HEADERS, 1, '', END_HEADERS), ['headers 1 ']],
  [
    '6.2 padded HEADERS',
    frame(FRAME.HEADERS, 1, '\x02ab\0\0', END_HEADERS | PADDED),
    ['headers 1 ab'],
  ],
  [
    '6.2 HEADERS with priority',
    frame(FRAME.HEADERS, 3, '\0\0\0\x01\x10ab', END_HEADERS | PRIORITY),
    ['headers 3 ab on 1'],
  ],
  [
    '6.2 HEADERS with both',
    frame(FRAME.HEADERS, 3, '\x01\x80\0\0\x01\x10ab\0', END_HEADERS | PRIORITY | PADDED),
    ['headers 3 ab on 1'],
  ],
  [
    '6.10 CONTINUATION',
    Buffer.concat([
      frame(FRAME.HEADERS, 1, 'ab', END_STREAM),
      frame(FRAME.CONTINUATION, 1, ''),
      frame(FRAME.CONTINUATION, 1, 'cd', END_HEADERS),
    ]),
    ['headers 1 abcd ends'],
  ],
  ['6.3 PRIORITY', frame(FRAME.PRIORITY, 5, bytes(0x80, 0, 0, 3, 1)), ['priority 5 on 3']],
  ['6.4 RST_STREAM', frame(FRAME.RST_STREAM, 5, bytes(0xff, 0, 0, 8)), ['reset 5 4278190088']],
  ['6.5 SETTINGS', frame(FRAME.SETTINGS, 0, bytes(0, 4, 0, 0, 0, 1)), ['settings 000400000001']],
  ['6.5 SETTINGS ACK', frame(FRAME.SETTINGS, 0, '', ACK), ['settings ack']],
  ['6.7 PING', frame(FRAME.PING, 0, 'abcdefgh'), ['ping abcdefgh']],
  ['6.7 PING ACK', frame(FRAME.PING, 0, 'abcdefgh', ACK), ['ping ack abcdefgh']],
  ['6.8 GOAWAY', frame(FRAME.GOAWAY, 0, bytes(0x80, 0, 0, 7, 0, 0, 0, 2, 0x61)), ['goaway 7 2 a']],
  ['6.9 WINDOW_UPDATE', frame(FRAME.WINDOW_UPDATE, 0, bytes(0x80, 0, 1, 0)), ['window 0 +256']],
  ['6.9 WINDOW_UPDATE of 0', frame(FRAME.WINDOW_UPDATE, 3, bytes(0x80, 0, 0, 0)), ['window 3 +0']],
  ['5.5 an unknown type', frame(0xef, 7, 'abc', 0xff), ['unknown 239']],
  ['4.1 flags that mean nothing', frame(FRAME.PING, 0, 'abcdefgh', 0xfe), ['ping abcdefgh']],
  [
    '4.1 the reserved bit of the stream',
    frame(FRAME.DATA, 0x80000001, ''),
    ['data 1 flow 0', 'data end +0'],
  ],
  ['4.2 a frame of the largest size', frame(0xef, 0, zeros(16_384)), ['unknown 239']],
];

const PROTOCOL = 'connection PROTOCOL_ERROR';
const SIZE = 'connection FRAME_SIZE_ERROR';
const CALM = 'connection ENHANCE_YOUR_CALM';

const REFUSED: readonly (readonly [string, Uint8Array, string])[] = [
  ['4.2 a frame larger than ours', frame(0xef, 0, zeros(16_385)), SIZE],
  ['6.1 DATA on stream 0', frame(FRAME.DATA, 0, ''), PROTOCOL],
  ['6.1 DATA without the announced pad length', frame(FRAME.DATA, 1, '', PADDED), SIZE],
  ['6.1 DATA padded beyond its length', frame(FRAME.DATA, 1, '\x03ab', PADDED), PROTOCOL],
  ['6.2 HEADERS on stream 0', frame(FRAME.HEADERS, 0, '', END_HEADERS), PROTOCOL],
  [
    '6.2 HEADERS padded beyond their length',
    frame(FRAME.HEADERS, 1, '\x03ab', END_HEADERS | PADDED),
    PROTOCOL,
  ],
  [
    '6.2 HEADERS padded into their priority',
    frame(FRAME.HEADERS, 1, '\x01\0\0\0\0\0', END_HEADERS | PADDED | PRIORITY),
    PROTOCOL,
  ],
  [
    '6.2 HEADERS without the announced priority',
    frame(FRAME.HEADERS, 1, '\0\0\0\0', END_HEADERS | PRIORITY),
    SIZE,
  ],
  [
    '6.2 DATA inside of a block',
    Buffer.concat([frame(FRAME.HEADERS, 1, ''), frame(FRAME.DATA, 1, '')]),
    PROTOCOL,
  ],
  [
    '6.2 an unknown frame inside of a block',
    Buffer.concat([frame(FRAME.HEADERS, 1, ''), frame(0xef, 1, '')]),
    PROTOCOL,
  ],
  [
    '6.10 CONTINUATION of another stream',
    Buffer.concat([frame(FRAME.HEADERS, 1, ''), frame(FRAME.CONTINUATION, 3, '')]),
    PROTOCOL,
  ],
  [
    '6.10 CONTINUATION on stream 0',
    Buffer.concat([frame(FRAME.HEADERS, 1, ''), frame(FRAME.CONTINUATION, 0, '')]),
    PROTOCOL,
  ],
  ['6.10 CONTINUATION without HEADERS', frame(FRAME.CONTINUATION, 1, '', END_HEADERS), PROTOCOL],
  [
    '6.10 CONTINUATION after the block',
    Buffer.concat([frame(FRAME.HEADERS, 1, '', END_HEADERS), frame(FRAME.CONTINUATION, 1, '')]),
    PROTOCOL,
  ],
  [
    'more CONTINUATION than allowed',
    Buffer.concat([
      frame(FRAME.HEADERS, 1, ''),
      ...Array.from({ length: 5 }, () => frame(FRAME.CONTINUATION, 1, '')),
    ]),
    CALM,
  ],
  [
    'a block of more bytes than allowed',
    Buffer.concat([
      frame(FRAME.HEADERS, 1, zeros(16_000)),
      frame(FRAME.CONTINUATION, 1, zeros(4_001), END_HEADERS),
    ]),
    CALM,
  ],
  ['6.3 PRIORITY on stream 0', frame(FRAME.PRIORITY, 0, zeros(5)), PROTOCOL],
  ['6.3 PRIORITY of 4 bytes', frame(FRAME.PRIORITY, 1, zeros(4)), 'stream 1 FRAME_SIZE_ERROR'],
  ['6.3 PRIORITY without any', frame(FRAME.PRIORITY, 1), 'stream 1 FRAME_SIZE_ERROR'],
  ['6.4 RST_STREAM on stream 0', frame(FRAME.RST_STREAM, 0, zeros(4)), PROTOCOL],
  ['6.4 RST_STREAM of 5 bytes', frame(FRAME.RST_STREAM, 1, zeros(5)), SIZE],
  ['6.5 SETTINGS on a stream', frame(FRAME.SETTINGS, 1), PROTOCOL],
  ['6.5 SETTINGS of 5 bytes', frame(FRAME.SETTINGS, 0, zeros(5)), SIZE],
  ['6.5 SETTINGS ACK that says something', frame(FRAME.SETTINGS, 0, zeros(6), ACK), SIZE],
  ['more settings than allowed', frame(FRAME.SETTINGS, 0, zeros(54)), CALM],
  ['6.6 PUSH_PROMISE', frame(FRAME.PUSH_PROMISE, 1, zeros(4), END_HEADERS), PROTOCOL],
  ['6.7 PING on a stream', frame(FRAME.PING, 1, zeros(8)), PROTOCOL],
  ['6.7 PING of 7 bytes', frame(FRAME.PING, 0, zeros(7)), SIZE],
  ['6.8 GOAWAY on a stream', frame(FRAME.GOAWAY, 1, zeros(8)), PROTOCOL],
  ['6.8 GOAWAY of 7 bytes', frame(FRAME.GOAWAY, 0, zeros(7)), SIZE],
  ['6.9 WINDOW_UPDATE of 3 bytes', frame(FRAME.WINDOW_UPDATE, 0, zeros(3)), SIZE],
];

describe('FrameDecoder', () => {
  for (const [name, input, events] of TAKEN) {
    it(`takes ${name}, whole and byte by byte`, () => {
      assert.deepEqual(decode([input]), events);
      const single = decode([...input].map((byte) => bytes(byte)));
      assert.deepEqual(joinPieces(single), events);
    });
  }

  for (const [name, input, event] of REFUSED) {
    it(`refuses ${name}, whole and byte by byte`, () => {
      for (const chunks of [[input], [...input].map((byte) => bytes(byte))]) {
        const found = decode([...chunks, frame(FRAME.PING, 0, 'afterall')]);
        const at = found.indexOf(event);
        assert.notEqual(at, -1, found.join());
        assert.deepEqual(found.slice(at + 1), event.startsWith('stream') ? ['ping afterall'] : []);
      }
    });
  }

  it('knows the size of a block too long from the header of its frame', () => {
    const large = { frameBytesMax: 1 << 20 };
    const header = frame(FRAME.HEADERS, 1, zeros(500_000)).subarray(0, 9);
    assert.deepEqual(decode([header], large), [CALM]);
  });

  it('keeps the beginning of a long GOAWAY', () => {
    const payload = Buffer.concat([zeros(8), Buffer.from('d'.repeat(10_000))]);
    const input = frame(FRAME.GOAWAY, 0, payload);
    assert.deepEqual(decode([input]), [`goaway 0 0 ${'d'.repeat(128)}`]);
    assert.deepEqual(decode([input.subarray(0, 50), input.subarray(50)]), [
      `goaway 0 0 ${'d'.repeat(128)}`,
    ]);
  });

  for (const [name, input, event] of [
    ['a wrong preface', Buffer.from('GET / HTTP/1.1\r\n\r\n'), PROTOCOL],
    [
      'a preface that goes wrong at its end',
      Buffer.concat([PREFACE.subarray(0, 23), Buffer.from('x')]),
      PROTOCOL,
    ],
    ['PING first', Buffer.concat([PREFACE, frame(FRAME.PING, 0, 'abcdefgh')]), PROTOCOL],
    ['SETTINGS ACK first', Buffer.concat([PREFACE, frame(FRAME.SETTINGS, 0, '', ACK)]), PROTOCOL],
    ['the preface and SETTINGS', Buffer.concat([PREFACE, SETTINGS]), 'settings '],
  ] as const) {
    it(`${event === PROTOCOL ? 'refuses' : 'takes'} ${name} (3.4)`, () => {
      for (const size of [1, 7, 1000]) {
        const sink = new EventLog();
        const decoder = new FrameDecoder({ sink, limits: LIMITS, expectsPreface: true });
        for (let at = 0; at < input.length; at += size) {
          decoder.push(input.subarray(at, at + size));
        }
        assert.deepEqual(sink.events, [event], `in parts of ${size}`);
        assert.equal(decoder.hasSettings, event !== PROTOCOL);
      }
    });
  }

  it('gives the same events however the bytes are cut', () => {
    const any = fc.oneof(
      fc.constantFrom(...TAKEN.map(([, input]) => input)),
      fc.constantFrom(...REFUSED.map(([, input]) => input)),
      fc.uint8Array({ maxLength: 40 }),
    );
    fc.assert(
      fc.property(
        fc.array(any, { maxLength: 12 }),
        fc.array(fc.nat(30), { maxLength: 40 }),
        (parts, cuts) => {
          const input = Buffer.concat(parts);
          const chunks: Uint8Array[] = [];
          let at = 0;
          for (const size of cuts) {
            chunks.push(input.subarray(at, at + size));
            at += size;
          }
          chunks.push(input.subarray(at));
          assert.deepEqual(joinPieces(decode(chunks)), joinPieces(decode([input])));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

/** Pieces of one DATA frame as one. */
function joinPieces(events: readonly string[]): string[] {
  const joined: string[] = [];
  for (const event of events) {
    const last = joined.at(-1) ?? '';
    if (event.startsWith('piece ') && last.startsWith('piece ')) {
      joined[joined.length - 1] = last + event.slice('piece '.length);
    } else {
      joined.push(event);
    }
  }
  return joined;
}
