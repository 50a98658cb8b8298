import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { runs } from '../fixtures/arbitraries.ts';
import { isFieldName, lowerName } from './field-names.ts';

describe('lowerName', () => {
  it('is the token in lower case, whatever stands around it', () => {
    const token = fc.oneof(
      fc.constantFrom(
        'Content-Length',
        'HOST',
        'te',
        'X-Request-ID',
        'Content-Lengtj',
        'TE@',
        '__proto__',
      ),
      fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,30}$/),
    );
    fc.assert(
      fc.property(token, fc.string(), fc.string(), (name, before, after) => {
        const text = before + name + after;
        const lower = lowerName(text, before.length, before.length + name.length);
        assert.equal(lower, name.toLowerCase());
      }),
      runs(2_000),
    );
  });

  it('does not take a byte that only looks like a letter for one', () => {
    for (const name of ['\xc0', 'ho\xd3t', '@', '[', 'H\x4fST'.replace('O', '\x0f')]) {
      assert.equal(lowerName(name, 0, name.length), name.toLowerCase());
    }
  });
});

describe('isFieldName', () => {
  for (const [name, expected] of [
    ['host', true],
    ['x-a_b', true],
    ['Host', false],
    ['', false],
    ['a b', false],
    ['constructor', true],
  ] as const) {
    it(`${JSON.stringify(name)}: ${expected}`, () => {
      assert.equal(isFieldName(name), expected);
    });
  }
});
