import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { H2Error } from '../errors.ts';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder, measureFields } from './encoder.ts';

function encode(
  encoder: HpackEncoder,
  fields: readonly string[],
  never?: readonly string[],
): string {
  const target = Buffer.alloc(measureFields(fields));
  return target.toString('hex', 0, encoder.encode(fields, target, 0, never));
}

describe('HpackEncoder', () => {
  for (const [name, value, hex] of [
    [':method', 'GET', '82'],
    [':path', '/index.html', '85'],
    [':status', '404', '8d'],
    ['accept-encoding', 'gzip, deflate', '90'],
    // RFC 7541 §7.1.3: 0001xxxx.
    ['authorization', 'k', '1f08016b'],
    ['cookie', 'a=b', '1f1103613d62'],
    ['set-cookie', 'a=b', '1f2803613d62'],
    ['proxy-authorization', 'k', '1f22016b'],
    // 0000xxxx: a value that is another the next time.
    ['content-length', '5', '0f0d0135'],
  ] as const) {
    it(`sends ${name}: ${value} as ${hex}`, () => {
      assert.equal(encode(new HpackEncoder(), [name, value]), hex);
    });
  }

  it('sends a field a second time as an index', () => {
    const encoder = new HpackEncoder();
    const first = encode(encoder, ['x-version', 'one']);
    assert.equal(first.slice(0, 2), '40');
    assert.equal(encode(encoder, ['x-version', 'one']), 'be');
    // The name alone is known.
    assert.equal(encode(encoder, ['x-version', 'zz']).slice(0, 2), '7e');
    assert.equal(encode(encoder, ['x-version', 'one']), 'bf');
  });

  it('never indexes what was received so', () => {
    const encoder = new HpackEncoder();
    for (let round = 0; round < 2; round += 1) {
      assert.equal(encode(encoder, ['x-key', '1'], ['x-key']).slice(0, 4), '1084');
    }
    assert.equal(encoder.tableBytes, 0);
  });

  it('stops adding values that do not come again', () => {
    const encoder = new HpackEncoder();
    for (let id = 0; id < 16; id += 1) {
      encode(encoder, ['x-id', String(id)]);
    }
    const before = encoder.tableBytes;
    assert.equal(encode(encoder, ['x-id', 'a-new-one']).slice(0, 1), '0');
    assert.equal(encoder.tableBytes, before);
  });

  it('keeps statistics of a bounded number of names', () => {
    const encoder = new HpackEncoder();
    for (let id = 0; id < 1000; id += 1) {
      encode(encoder, [`x-${id}`, 'v']);
    }
    assert.ok(encode(encoder, ['x-another', 'v']).startsWith('00'));
  });

  it('tells the smallest and the last size that the peer asked for', () => {
    const encoder = new HpackEncoder();
    encode(encoder, ['a', 'b']);
    encoder.setTableSize(0);
    encoder.setTableSize(100);
    assert.equal(encode(encoder, [':method', 'GET']), '203f4582');
    assert.equal(encoder.tableBytes, 0);
    assert.equal(encode(encoder, [':method', 'GET']), '82');
    encoder.setTableSize(1_000_000);
    assert.equal(encode(encoder, [':method', 'GET']), '3fe11f82');
  });

  it('says nothing when the peer offers more than is used', () => {
    const encoder = new HpackEncoder();
    encoder.setTableSize(65_536);
    assert.equal(encode(encoder, [':method', 'GET']), '82');
  });

  for (const [what, name, value] of [
    ['an upper-case name', 'X-A', 'b'],
    ['an empty name', '', 'b'],
    ['a name with a line break', 'a\nb', 'c'],
    ['a name beyond latin1', 'ā', 'c'],
    ['a value with CR LF', 'a', 'b\r\nc: d'],
    ['a value with NUL', 'a', '\0'],
    ['a value beyond latin1', 'a', '✓'],
    ['a value that begins with a blank', 'a', ' b'],
  ] as const) {
    it(`refuses ${what} before anything is written`, () => {
      const encoder = new HpackEncoder();
      assert.throws(
        () => measureFields(['x-ok', 'v', name, value]),
        (error: unknown) => error instanceof H2Error && error.code === 'H2_BAD_FIELD',
      );
      assert.equal(encoder.tableBytes, 0);
      const block = Buffer.from(encode(encoder, ['x-ok', 'v']), 'hex');
      const decoder = new HpackDecoder({ tableBytesMax: 4096, listBytesMax: 1000, fieldsMax: 9 });
      assert.deepEqual(decoder.decode(block).fields, ['x-ok', 'v']);
    });
  }
});
