/**
 * HPACK: any header blocks give fields or the codec's own error, within the bounds of list and table; a smaller bound of the
 * list changes nothing for later blocks; and what was decoded is encoded and decoded again as the same.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fuzzTest, makeInput } from '@ambit/core/fuzzing';
import { type DecodedFields, HpackDecoder, type HpackDecoderOptions } from '../hpack/decoder.ts';
import { HpackEncoder, measureFields } from '../hpack/encoder.ts';
import { HpackError } from '../hpack/hpack-error.ts';
import { BLOCK_SEEDS, BLOCK_TOKENS } from './corpus.ts';

const TABLE_BYTES = 4096;
const WIDE = { tableBytesMax: TABLE_BYTES, listBytesMax: 1 << 26, fieldsMax: 1 << 20 };
const NARROW = { tableBytesMax: TABLE_BYTES, listBytesMax: 300, fieldsMax: 6 };
const ENTRY_BYTES_MIN = 32;

interface Decoded {
  readonly lists: readonly DecodedFields[];
  readonly isRefused: boolean;
  readonly tableBytes: number;
}

function decodeAll(blocks: readonly Uint8Array[], options: HpackDecoderOptions): Decoded {
  const decoder = new HpackDecoder(options);
  const lists: DecodedFields[] = [];
  try {
    for (const block of blocks) {
      const list = decoder.decode(block);
      assert.ok(list.fields.length <= 2 * options.fieldsMax);
      assert.ok(sizeOf(list.fields) <= options.listBytesMax);
      assert.ok(decoder.table.bytes <= TABLE_BYTES);
      assert.ok(decoder.table.entries * ENTRY_BYTES_MIN <= decoder.table.bytes);
      lists.push(list);
    }
    return { lists, isRefused: false, tableBytes: decoder.table.bytes };
  } catch (error) {
    assert.ok(error instanceof HpackError, String(error));
    return { lists, isRefused: true, tableBytes: 0 };
  }
}

function sizeOf(fields: readonly string[]): number {
  let bytes = 0;
  for (const text of fields) {
    bytes += text.length + ENTRY_BYTES_MIN / 2;
  }
  return bytes;
}

/** What is too large for a narrow bound loses its end, and nothing else. */
function checkNarrow(blocks: readonly Uint8Array[], wide: Decoded): void {
  const narrow = decodeAll(blocks, NARROW);
  assert.ok(wide.isRefused || !narrow.isRefused, 'refused for a narrow bound only');
  assert.ok(wide.isRefused || wide.tableBytes === narrow.tableBytes, 'another table');
  for (const [at, { fields, isTooLarge }] of narrow.lists.entries()) {
    const all = wide.lists[at]?.fields;
    if (all !== undefined) {
      assert.deepEqual(fields, all.slice(0, fields.length));
      assert.ok(isTooLarge || fields.length === all.length, 'shortened in silence');
    }
  }
}

/** Without its last byte a block ends inside of its last field, or that field was the one byte. */
function checkCut(blocks: readonly Uint8Array[], lists: readonly DecodedFields[]): void {
  const last = lists.at(-1);
  if (last === undefined || last.fields.length === 0) {
    return;
  }
  const shorter = blocks.map((block, at) =>
    at === blocks.length - 1 ? block.subarray(0, block.length - 1) : block,
  );
  const cut = decodeAll(shorter, WIDE);
  const left = cut.lists[blocks.length - 1]?.fields.length ?? 0;
  assert.ok(cut.isRefused || left === last.fields.length - 2, 'read beyond its end');
}

function checkAgain(lists: readonly DecodedFields[]): void {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(WIDE);
  for (const { fields, isMalformed, neverIndexed } of lists) {
    if (isMalformed) {
      continue;
    }
    const target = Buffer.alloc(measureFields(fields));
    const end = encoder.encode(fields, target, 0, neverIndexed);
    const again = decoder.decode(target.subarray(0, end));
    assert.deepEqual(again.fields, fields);
    const isKept = (neverIndexed ?? []).every((name) => again.neverIndexed?.includes(name));
    assert.ok(isKept, 'indexed although it must not be');
    assert.equal(decoder.table.bytes, encoder.tableBytes);
  }
}

it('header blocks of any bytes', async (t) => {
  const format = { seeds: BLOCK_SEEDS, tokens: BLOCK_TOKENS, bytesMax: 8_000 };
  await fuzzTest(t, {
    name: 'hpack',
    share: 0.3,
    make: (random) => makeInput(random, format),
    check: (blocks, random) => {
      const wide = decodeAll(blocks, WIDE);
      if (!wide.isRefused && random.oneIn(3)) {
        checkCut(blocks, wide.lists);
      }
      checkNarrow(blocks, wide);
      checkAgain(wide.lists);
    },
    show: (blocks) => blocks.map((block) => Buffer.from(block).toString('hex')).join(' '),
  });
});
