/** Properties: what is encoded is decoded again, whatever the tables did; arbitrary bytes do no harm. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder, measureFields } from './encoder.ts';
import { HpackError } from './hpack-error.ts';
import { huffmanDecode, huffmanDecodedMax, huffmanEncode, huffmanLength } from './huffman.ts';

const LIMITS = { tableBytesMax: 4096, listBytesMax: 1 << 20, fieldsMax: 10_000 };

const NAMES = [':method', ':path', ':status', 'accept', 'content-type', 'cookie', 'x-a', 'x-b'];
const name = fc.oneof(
  fc.constantFrom(...NAMES),
  fc.string({ unit: fc.constantFrom(...'abcxyz-_09'), minLength: 1, maxLength: 30 }),
);
const latin1 = fc
  .integer({ min: 0x21, max: 0xff })
  .map((code) => (code === 0x7f ? 'x' : String.fromCharCode(code)));
const value = fc.oneof(
  fc.constantFrom('', 'GET', '/', '200', 'application/json', 'a'),
  fc.string({ unit: latin1, maxLength: 60 }),
  fc.string({ unit: latin1, minLength: 900, maxLength: 1500 }),
);
const list = fc.array(fc.tuple(name, value), { maxLength: 12 }).map((fields) => fields.flat());
const step = fc.oneof(
  { weight: 5, arbitrary: list.map((fields) => ({ fields })) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 8192 }).map((size) => ({ size })) },
);

function encode(encoder: HpackEncoder, fields: readonly string[]): Buffer {
  const target = Buffer.alloc(measureFields(fields));
  const end = encoder.encode(fields, target, 0);
  assert.ok(end <= target.length, 'measure is an upper bound');
  return target.subarray(0, end);
}

describe('HPACK', () => {
  it('decodes what it encoded, block after block, with any table size', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder(LIMITS);
        for (const one of steps) {
          if ('size' in one) {
            encoder.setTableSize(one.size);
            continue;
          }
          const result = decoder.decode(encode(encoder, one.fields));
          assert.deepEqual(result.fields, one.fields);
          assert.equal(result.isMalformed, false);
          assert.equal(decoder.table.bytes, encoder.tableBytes, 'both tables are the same');
        }
      }),
      { numRuns: 200 },
    );
  });

  it('does not crash, hang or grow on arbitrary bytes', () => {
    const block = fc.uint8Array({ maxLength: 400 });
    fc.assert(
      fc.property(fc.array(block, { maxLength: 8 }), (blocks) => {
        const decoder = new HpackDecoder({ tableBytesMax: 512, listBytesMax: 1000, fieldsMax: 20 });
        try {
          for (const bytes of blocks) {
            const { fields } = decoder.decode(bytes);
            assert.ok(fields.length <= 40);
            assert.ok(fields.join('').length <= 1000);
            assert.ok(decoder.table.bytes <= 512);
          }
        } catch (error) {
          assert.ok(error instanceof HpackError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('codes every byte by Huffman and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = Buffer.from(bytes).toString('latin1');
        const target = Buffer.alloc(huffmanLength(text));
        assert.equal(huffmanEncode(text, target, 0), target.length);
        const decoded = Buffer.alloc(huffmanDecodedMax(target.length));
        const length = huffmanDecode(target, 0, target.length, decoded);
        assert.deepEqual(decoded.subarray(0, length), Buffer.from(bytes));
      }),
      { numRuns: 500 },
    );
  });
});
