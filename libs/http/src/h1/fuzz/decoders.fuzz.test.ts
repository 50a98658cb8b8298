/**
 * HTTP/1.1: any bytes give messages or the codec's own error, the same however a network cuts them; what was read is written
 * and read again as the same messages; and a decoder never holds more than its bound.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { cutAnyhow, fuzzTest, makeInput, type Random } from '@ambit/core/fuzzing';
import { H1Error } from '../errors.ts';
import { checkRequestBytes, checkResponseBytes } from '../fixtures/check.ts';
import { REQUEST_SEEDS, RESPONSE_SEEDS, TELLING } from '../fixtures/seeds.ts';
import { RequestDecoder } from '../request-decoder.ts';
import type { AnsweredRequest } from '../response-decoder.ts';

const BYTES_MAX = 8_000;
const HELD_LIMITS = { startLineBytesMax: 64, headerBytesMax: 128, heldBytesMax: 512 };

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
/** Lines are the parts; what a body is made of has lines too. */
const linesOf = (text: string): Buffer[] => (text.match(/[^\n]*\n|[^\n]+$/g) ?? []).map(latin1);

const TOKENS = TELLING.map(latin1);
const CASE_BIT = 0x20;

/** Another line that some server takes for the same: letters in another case, blanks, a value twice. */
function changeLine(part: Uint8Array, random: Random): Uint8Array {
  const text = Buffer.from(part).toString('latin1');
  const colon = text.indexOf(':');
  switch (random.below(5)) {
    case 0: {
      const copy = Buffer.from(part);
      const at = random.below(copy.length);
      copy[at] = (copy[at] ?? 0) ^ CASE_BIT;
      return copy;
    }
    case 1:
      return latin1(text.replace('\r\n', random.pick(['\n', '\r', '\r\r\n', ' \r\n', '\t\r\n'])));
    case 2:
      return latin1(text.replace(':', random.pick([' :', ':\t', '::', '', ':\r\n '])));
    case 3:
      return colon === -1 ? part : latin1(`${text.trimEnd()},${text.slice(colon + 1)}`);
    default:
      return latin1(text.replace(/\d+/, (digits) => random.pick(NUMBERS).replace('N', digits)));
  }
}

const NUMBERS = ['0N', '+N', '-N', '0xN', 'N,N', 'N N', 'N.0', '9007199254740993', '', 'N0', '7ff'];

function checkHeld(bytes: Uint8Array, random: Random): void {
  const decoder = new RequestDecoder({ limits: HELD_LIMITS });
  try {
    for (const piece of cutAnyhow(bytes, random)) {
      decoder.push(piece);
      while (decoder.read() !== undefined) {
        assert.ok(decoder.heldBytes <= bytes.length);
      }
      assert.ok(decoder.heldBytes <= HELD_LIMITS.heldBytesMax);
    }
  } catch (error) {
    assert.ok(error instanceof H1Error, String(error));
    assert.equal(decoder.heldBytes, 0);
  }
}

function pieceLengths(random: Random): number[] {
  const most = random.pick([1, 2, 9, 40, 1_000]);
  return Array.from({ length: 1 + random.below(6) }, () => 1 + random.below(most));
}

const ASKED: readonly AnsweredRequest[] = [
  { method: 'GET' },
  { method: 'HEAD' },
  { method: 'CONNECT' },
  { method: 'GET', upgrade: 'websocket' },
];

for (const [name, share, texts, check] of [
  [
    'requests',
    0.2,
    REQUEST_SEEDS,
    (bytes: Buffer, random: Random) => {
      checkRequestBytes(bytes, pieceLengths(random));
      checkHeld(bytes, random);
    },
  ],
  [
    'responses',
    0.1,
    RESPONSE_SEEDS,
    (bytes: Buffer, random: Random) => {
      checkResponseBytes(bytes, random.pick(ASKED), pieceLengths(random));
    },
  ],
] as const) {
  it(`${name} of any bytes`, async (t) => {
    const format = {
      seeds: texts.map(linesOf),
      tokens: TOKENS,
      changePart: changeLine,
      bytesMax: BYTES_MAX,
    };
    await fuzzTest(t, {
      name: `HTTP/1.1 ${name}`,
      share,
      make: (random) => Buffer.concat(makeInput(random, format)),
      check,
      show: (bytes) => JSON.stringify(bytes.toString('latin1')),
    });
  });
}
