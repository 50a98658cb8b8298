/** RFC 7541 Appendix C, byte for byte: what each block decodes to, and what the table holds after it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { HpackDecoder } from './decoder.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { encodeInteger } from './integer.ts';

type Block = readonly [hex: string, fields: string, tableBytes: number, entries: number];

const REQUESTS = [
  ':method=GET :scheme=http :path=/ :authority=www.example.com',
  ':method=GET :scheme=http :path=/ :authority=www.example.com cache-control=no-cache',
  ':method=GET :scheme=https :path=/index.html :authority=www.example.com custom-key=custom-value',
] as const;
const DATE = 'Mon,_21_Oct_2013_20:13:2';
const LOCATION = 'location=https://www.example.com';
const COOKIE = 'set-cookie=foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU;_max-age=3600;_version=1';
const RESPONSES = [
  `:status=302 cache-control=private date=${DATE}1_GMT ${LOCATION}`,
  `:status=307 cache-control=private date=${DATE}1_GMT ${LOCATION}`,
  `:status=200 cache-control=private date=${DATE}2_GMT ${LOCATION} content-encoding=gzip ${COOKIE}`,
] as const;

const SERIES: Readonly<Record<string, { tableMax: number; blocks: readonly Block[] }>> = {
  'C.2.1 literal with indexing': {
    tableMax: 4096,
    blocks: [
      ['400a637573746f6d2d6b65790d637573746f6d2d686561646572', 'custom-key=custom-header', 55, 1],
    ],
  },
  'C.2.2 literal without indexing': {
    tableMax: 4096,
    blocks: [['040c2f73616d706c652f70617468', ':path=/sample/path', 0, 0]],
  },
  'C.2.3 literal never indexed': {
    tableMax: 4096,
    blocks: [['100870617373776f726406736563726574', 'password=secret', 0, 0]],
  },
  'C.2.4 indexed': { tableMax: 4096, blocks: [['82', ':method=GET', 0, 0]] },
  'C.3 requests': {
    tableMax: 4096,
    blocks: [
      ['828684410f7777772e6578616d706c652e636f6d', REQUESTS[0], 57, 1],
      ['828684be58086e6f2d6361636865', REQUESTS[1], 110, 2],
      ['828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565', REQUESTS[2], 164, 3],
    ],
  },
  'C.4 requests, Huffman': {
    tableMax: 4096,
    blocks: [
      ['828684418cf1e3c2e5f23a6ba0ab90f4ff', REQUESTS[0], 57, 1],
      ['828684be5886a8eb10649cbf', REQUESTS[1], 110, 2],
      ['828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf', REQUESTS[2], 164, 3],
    ],
  },
  'C.5 responses, with eviction': {
    tableMax: 256,
    blocks: [
      [
        '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
        RESPONSES[0],
        222,
        4,
      ],
      ['4803333037c1c0bf', RESPONSES[1], 222, 4],
      [
        '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
        RESPONSES[2],
        215,
        3,
      ],
    ],
  },
  'C.6 responses, Huffman, with eviction': {
    tableMax: 256,
    blocks: [
      [
        '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
        RESPONSES[0],
        222,
        4,
      ],
      ['4883640effc1c0bf', RESPONSES[1], 222, 4],
      [
        '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
        RESPONSES[2],
        215,
        3,
      ],
    ],
  },
};

/** `name=value name=value`, blanks of values written as `_`. */
function listOf(text: string): string[] {
  return text.split(' ').flatMap((field) => {
    const at = field.indexOf('=');
    return [field.slice(0, at), field.slice(at + 1).replaceAll('_', ' ')];
  });
}

describe('RFC 7541 Appendix C', () => {
  for (const [name, { tableMax, blocks }] of Object.entries(SERIES)) {
    it(`decodes ${name}`, () => {
      const decoder = new HpackDecoder({
        tableBytesMax: tableMax,
        listBytesMax: 65_536,
        fieldsMax: 100,
      });
      for (const [hex, text, bytes, entries] of blocks) {
        const { fields, neverIndexed, isMalformed, isTooLarge } = decoder.decode(
          Buffer.from(hex, 'hex'),
        );
        assert.deepEqual(fields, listOf(text), hex);
        assert.deepEqual(decoder.table, { bytes, entries }, hex);
        assert.deepEqual(neverIndexed, name.includes('never') ? ['password'] : undefined);
        assert.deepEqual({ isMalformed, isTooLarge }, { isMalformed: false, isTooLarge: false });
      }
    });
  }

  it('encodes the integers of C.1', () => {
    for (const [value, prefix, hex] of [
      [10, 5, '0a'],
      [1337, 5, '1f9a0a'],
      [42, 8, '2a'],
    ] as const) {
      const target = Buffer.alloc(8);
      const end = encodeInteger(target, 0, 0, prefix, value);
      assert.equal(target.toString('hex', 0, end), hex);
    }
  });

  it('encodes the strings of C.4 and C.6', () => {
    for (const [text, hex] of [
      ['www.example.com', 'f1e3c2e5f23a6ba0ab90f4ff'],
      ['no-cache', 'a8eb10649cbf'],
      ['custom-key', '25a849e95ba97d7f'],
      ['custom-value', '25a849e95bb8e8b4bf'],
      ['302', '6402'],
      ['private', 'aec3771a4b'],
      ['Mon, 21 Oct 2013 20:13:21 GMT', 'd07abe941054d444a8200595040b8166e082a62d1bff'],
      ['https://www.example.com', '9d29ad171863c78f0b97c8e9ae82ae43d3'],
      ['gzip', '9bd9ab'],
    ] as const) {
      const target = Buffer.alloc(64);
      const end = huffmanEncode(text, target, 0);
      assert.equal(target.toString('hex', 0, end), hex, text);
      assert.equal(huffmanLength(text), end, text);
    }
  });
});
