/**
 * Where fuzzing of HTTP/2 begins: conversations recorded from the reference, frames of every type, the attacks that have
 * names, and header blocks of RFC 7541 Appendix C. Whatever a fuzzer finds is added here.
 */
import type { Random } from '@ambit/core/fuzzing';
import { readU24, readU31, writeU24, writeU32 } from '../frames/bytes.ts';
import { FLAG, FRAME, FRAME_HEADER_BYTES, PREFACE } from '../frames/protocol.ts';
import { frame } from '../testing/frames.ts';
import {
  data,
  GET,
  get,
  goaway,
  headers,
  ping,
  post,
  reset,
  SETTINGS_ACK,
  settings,
  windowUpdate,
} from '../testing/raw-peer.ts';
import recorded from './recorded.json' with { type: 'json' };

const { END_STREAM, END_HEADERS, PADDED } = FLAG;

/** `frames`: preface and frames of one side. */
const recordedFrom = (isClient: boolean): Uint8Array[][] =>
  recorded
    .filter(({ from }) => (from === 'client' || from === 'peer') === isClient)
    .map(({ frames }) => frames.map((text) => Buffer.from(text, 'base64')));

const GREETING = [PREFACE, settings([2, 0], [4, 1 << 22], [6, 16_384]), SETTINGS_ACK];
const SERVER_GREETING = [settings([3, 200], [4, 1 << 22], [5, 1 << 20], [6, 65_536]), SETTINGS_ACK];
const CONTINUED = [
  frame(FRAME.HEADERS, 1, '\x82\x86\x84', END_STREAM),
  frame(FRAME.CONTINUATION, 1, '\x41\x01a'),
  frame(FRAME.CONTINUATION, 1, '', END_HEADERS),
];

export const CLIENT_SEEDS: readonly (readonly Uint8Array[])[] = [
  ...recordedFrom(true),
  [...GREETING, get(1), get(3), get(5)],
  [...GREETING, post(1), data(1, 'abc'), data(1, '', END_STREAM)],
  [...GREETING, post(1, ['te', 'trailers']), data(1, 'x'), headers(1, ['x-sum', '1'], END_STREAM)],
  [...GREETING, ...CONTINUED],
  [...GREETING, frame(FRAME.HEADERS, 1, '\x02\x82\x86\x84\x41\x01a\0\0', END_HEADERS | PADDED)],
  [...GREETING, post(1), frame(FRAME.DATA, 1, '\x03abc\0\0\0', PADDED | END_STREAM)],
  [...GREETING, headers(1, [':method', 'CONNECT', ':authority', 'a:1']), data(1, 'x'), reset(1)],
  [...GREETING, post(1), windowUpdate(1, 9), windowUpdate(0, 2 ** 31 - 1), windowUpdate(1, 0)],
  [...GREETING, post(1), reset(1), post(3), reset(3), post(5), reset(5)],
  [
    ...GREETING,
    ping(),
    ping('12345678', FLAG.ACK),
    settings([4, 0]),
    settings([1, 0], [5, 16_384]),
  ],
  [...GREETING, frame(FRAME.PRIORITY, 3, '\0\0\0\x01\x10'), frame(0xef, 0, 'unknown'), goaway(0)],
  [...GREETING, headers(1, [...GET, 'content-length', '3'], END_STREAM)],
  [...GREETING, frame(FRAME.HEADERS, 1, '\x40\x01x\x7f\xa1\x1e'), frame(FRAME.PUSH_PROMISE, 1, '')],
];

export const SERVER_SEEDS: readonly (readonly Uint8Array[])[] = [
  ...recordedFrom(false),
  [...SERVER_GREETING, headers(1, [':status', '200']), data(1, 'abc', END_STREAM)],
  [...SERVER_GREETING, headers(1, [':status', '103']), headers(1, [':status', '204'], END_STREAM)],
  [
    ...SERVER_GREETING,
    headers(1, [':status', '200']),
    data(1, 'x'),
    headers(1, ['grpc-status', '0'], END_STREAM),
  ],
  [...SERVER_GREETING, headers(3, [':status', '200']), reset(1, 7), goaway(1, 0), data(3, 'y')],
  [...SERVER_GREETING, windowUpdate(1, 9), settings([4, 10]), settings([3, 0]), ping()],
];

const RANDOM_IDS = [0, 1, 2, 3, 5, 7, 2 ** 31 - 1, 2 ** 32 - 1] as const;
const LENGTHS = [0, 1, 4, 5, 6, 8, 16_384, 16_385, 2 ** 24 - 1] as const;

/** Another frame in good form, or with one number of its header that is not. */
export function changeFrame(part: Uint8Array, random: Random): Uint8Array {
  if (part.length < FRAME_HEADER_BYTES || part[0] === PREFACE[0]) {
    return part;
  }
  const bytes = Buffer.from(part);
  switch (random.below(8)) {
    case 0:
      bytes[3] = random.below(random.oneIn(4) ? 256 : 11);
      return bytes;
    case 1:
      bytes[4] = (bytes[4] ?? 0) ^ random.pick([END_STREAM, END_HEADERS, PADDED, FLAG.PRIORITY]);
      return bytes;
    case 2:
      writeU32(bytes, 5, random.pick(RANDOM_IDS));
      return bytes;
    case 3:
      writeU32(bytes, 5, readU31(bytes, 5) + 2);
      return bytes;
    case 4:
      writeU24(bytes, 0, random.pick(LENGTHS));
      return bytes;
    case 5:
      return split(bytes, random);
    case 6:
      // Padding as long as the frame, one more and one less.
      bytes[4] = (bytes[4] ?? 0) | PADDED;
      bytes[FRAME_HEADER_BYTES] = bytes.length - FRAME_HEADER_BYTES - random.below(3);
      return bytes;
    default:
      return withPayload(bytes, random);
  }
}

/** HEADERS as HEADERS and CONTINUATION, other frames as two of their kind. */
function split(bytes: Buffer, random: Random): Buffer {
  const [type = 0, flags = 0] = [bytes[3], bytes[4]];
  const payload = bytes.subarray(FRAME_HEADER_BYTES);
  const at = random.below(payload.length + 1);
  const id = readU31(bytes, 5);
  const isBlock = type === FRAME.HEADERS || type === FRAME.CONTINUATION;
  return Buffer.concat([
    frame(type, id, payload.subarray(0, at), isBlock ? flags & ~END_HEADERS : flags),
    frame(isBlock ? FRAME.CONTINUATION : type, id, payload.subarray(at), flags),
  ]);
}

/** Other bytes, and the length that they have. */
function withPayload(bytes: Buffer, random: Random): Buffer {
  const length = readU24(bytes, 0);
  const kept = bytes.subarray(0, FRAME_HEADER_BYTES + random.below(length + 1));
  const grown = Buffer.concat([kept, random.bytes(random.below(random.oneIn(9) ? 2_000 : 12))]);
  writeU24(grown, 0, grown.length - FRAME_HEADER_BYTES);
  return grown;
}

const fromHex = (blocks: string): Uint8Array[] =>
  blocks.split(' ').map((text) => Buffer.from(text, 'hex'));

/** Lists of header blocks, decoded one after the other with one table. */
export const BLOCK_SEEDS: readonly (readonly Uint8Array[])[] = [
  // RFC 7541 C.2 to C.6.
  '400a637573746f6d2d6b65790d637573746f6d2d686561646572 040c2f73616d706c652f70617468 100870617373776f726406736563726574 82',
  '828684410f7777772e6578616d706c652e636f6d 828684be58086e6f2d6361636865 828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
  '828684418cf1e3c2e5f23a6ba0ab90f4ff 828684be5886a8eb10649cbf 828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
  '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d 4803333037c1c0bf 88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
  '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3 4883640effc1c0bf 88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
  // Updates of the table size, small and again large; a bomb of references to one entry; integers that do not end.
  '20 3fe11f82 203f017e0182 4001610162be3fe11f',
  '4001787f00797979797979797979797979797979797979 bebebebebebebebebebebebebebebebebebebebebebebebebebebebebebebebebebebe',
  'ffffffffff0f ff80808080807f 7f8080808000 00ff80808080 0f0f',
  // Strings: too long, coded and empty, ending inside of EOS, padding of zeros.
  '00ff 0080 00008000 0081ff81ff 0084ffffffff01 000161 4000000000',
]
  .map(fromHex)
  .concat(
    ...[...recordedFrom(true), ...recordedFrom(false)].map((frames) => {
      const blocks = frames.filter((one) => one[0] !== PREFACE[0] && one[3] === FRAME.HEADERS);
      return blocks.length === 0 ? [] : [blocks.map((one) => one.subarray(FRAME_HEADER_BYTES))];
    }),
  );

export const BLOCK_TOKENS: readonly Uint8Array[] = fromHex(
  '80 81 bd be bf ff00 ff80 ffffffffff0f 00 40 10 20 3f 3fe11f 3fe21f 4001 7f 7f00 0f 1f 0085 ff 04 0141',
);
