import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HpackDecoder, type HpackDecoderOptions } from './decoder.ts';
import { HpackError } from './hpack-error.ts';

const LIMITS: HpackDecoderOptions = { tableBytesMax: 4096, listBytesMax: 16_384, fieldsMax: 100 };

function decode(hex: string, limits: Partial<HpackDecoderOptions> = {}) {
  return new HpackDecoder({ ...LIMITS, ...limits }).decode(
    Buffer.from(hex.replaceAll(' ', ''), 'hex'),
  );
}

const literal = (name: string, value: string, head = '00'): string =>
  head +
  [name, value]
    .map(
      (text) =>
        Buffer.from([text.length]).toString('hex') + Buffer.from(text, 'latin1').toString('hex'),
    )
    .join('');

/** RFC 7541 by paragraph: blocks that end the connection. */
const REFUSED: readonly (readonly [string, string])[] = [
  ['6.1: index 0', '80'],
  ['2.3.3: an index behind an empty dynamic table', 'be'],
  ['2.3.3: an index far behind', 'ff8001'],
  ['2.3.3: a name by an index that is not there', '7f0101 61'],
  ['5.1: an integer that does not end', 'ff ff ff'],
  ['5.1: an integer of too many octets', 'ff 80 80 80 80 80 01'],
  ['5.1: an integer too large', 'ff ff ff ff ff ff 0f'],
  ['5.2: a string beyond the block', '00 03 61'],
  ['5.2: a name without a value', '00 01 61'],
  ['5.2: padding of zeros', '00 01 61 81 18'],
  ['5.2: padding of more than seven bits', '00 01 61 82 1f ff'],
  ['5.2: EOS', '00 01 61 84 ff ff ff ff'],
  ['4.2: a size above ours', '3f e2 1f'],
  ['4.2: a size after a field', '82 20'],
  ['4.2: three sizes', '20 20 20'],
];

const ACCEPTED: readonly (readonly [string, string, readonly string[]])[] = [
  ['an empty block', '', []],
  ['an empty value', '00 01 61 00', ['a', '']],
  ['5.1: an integer with an octet more than needed', '0f 80 00 01 62', ['accept-charset', 'b']],
  ['5.2: padding of five ones', '00 01 61 81 1f', ['a', 'a']],
  ['4.2: the size 0, then a field', '20 82', [':method', 'GET']],
  ['4.2: two sizes', '20 3f e1 1f 82', [':method', 'GET']],
  ['obs-text in a value', '00 01 61 01 e9', ['a', 'é']],
];

describe('HpackDecoder', () => {
  for (const [name, hex] of REFUSED) {
    it(`refuses ${name}`, () => {
      assert.throws(() => decode(hex), HpackError);
    });
  }

  for (const [name, hex, fields] of ACCEPTED) {
    it(`takes ${name}`, () => {
      assert.deepEqual(decode(hex).fields, fields);
    });
  }

  for (const [what, name, value] of [
    ['an upper-case name', 'A', 'b'],
    ['an empty name', '', 'b'],
    ['a lone colon', ':', 'b'],
    ['a blank in a name', 'a b', 'c'],
    ['a colon within a name', 'a:b', 'c'],
    ['obs-text in a name', 'é', 'c'],
    ['NUL in a value', 'a', 'b\0c'],
    ['CR in a value', 'a', 'b\rc'],
    ['LF in a value', 'a', 'b\nc'],
    ['DEL in a value', 'a', 'b\x7f'],
    ['a blank before a value', 'a', ' b'],
    ['a tab after a value', 'a', 'b\t'],
  ] as const) {
    it(`calls ${what} malformed, also out of the table`, () => {
      assert.equal(decode(literal(name, value)).isMalformed, true);
      assert.equal(decode(`${literal('ok', '')}${literal(name, value, '40')}`).isMalformed, true);
      const decoder = new HpackDecoder(LIMITS);
      decoder.decode(Buffer.from(literal(name, value, '40'), 'hex'));
      assert.equal(decoder.decode(Buffer.from('be', 'hex')).isMalformed, true);
    });
  }

  for (const [what, name, value] of [
    ['a tab within a value', 'a', 'b\tc'],
    ['every sign of a token', "!#$%&'*+-.^_`|~09az", ''],
    ['a pseudo-header', ':path', '/'],
  ] as const) {
    it(`takes ${what}`, () => {
      const result = decode(literal(name, value));
      assert.deepEqual([result.isMalformed, result.fields], [false, [name, value]]);
    });
  }

  it('uses the name of an entry with a bad value', () => {
    const decoder = new HpackDecoder(LIMITS);
    decoder.decode(Buffer.from(literal('a', 'x\n', '40'), 'hex'));
    const result = decoder.decode(Buffer.from('7e0162', 'hex'));
    assert.deepEqual([result.isMalformed, result.fields], [false, ['a', 'b']]);
  });

  it('keeps nothing beyond the bytes of a list, and the table all the same', () => {
    const decoder = new HpackDecoder({ ...LIMITS, listBytesMax: 200 });
    const big = literal('big', 'v'.repeat(100), '40');
    const bomb = decoder.decode(
      Buffer.from(big + 'be'.repeat(10_000) + literal('z', 'y', '40'), 'hex'),
    );
    assert.deepEqual([bomb.isTooLarge, bomb.fields.length], [true, 2]);
    assert.deepEqual(decoder.decode(Buffer.from('be', 'hex')).fields, ['z', 'y']);
  });

  it('counts fields as well as bytes', () => {
    assert.equal(decode('82'.repeat(100)).isTooLarge, false);
    const result = decode('82'.repeat(101));
    assert.deepEqual([result.isTooLarge, result.fields.length], [true, 200]);
  });

  it('says which names were never to be indexed', () => {
    assert.deepEqual(decode(`${literal('a', 'b', '10')}82`).neverIndexed, ['a']);
    assert.equal(decode('82').neverIndexed, undefined);
  });

  it('empties its table for an entry that is larger', () => {
    const decoder = new HpackDecoder({ ...LIMITS, tableBytesMax: 100 });
    decoder.decode(Buffer.from(literal('a', 'b', '40'), 'hex'));
    assert.deepEqual(decoder.table, { bytes: 34, entries: 1 });
    const result = decoder.decode(Buffer.from(literal('a', 'b'.repeat(68), '40'), 'hex'));
    assert.deepEqual(result.fields, ['a', 'b'.repeat(68)]);
    assert.deepEqual(decoder.table, { bytes: 0, entries: 0 });
  });

  it('finds its way through fields that it does not keep, to one that later blocks may refer to', () => {
    const decoder = new HpackDecoder({ ...LIMITS, fieldsMax: 1 });
    const hex = ['h1', 'h2', 'h3'].map((name) => literal(name, 'a value')).join('');
    const block = decoder.decode(Buffer.from(`${hex}${literal('late', 'entry', '40')}`, 'hex'));
    assert.deepEqual([block.isTooLarge, block.fields], [true, ['h1', 'a value']]);
    assert.deepEqual(decoder.decode(Buffer.from('be', 'hex')).fields, ['late', 'entry']);
  });
});
