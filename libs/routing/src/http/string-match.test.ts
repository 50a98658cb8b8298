/** Headers as they are sent, by what people write. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StringMatch } from '@ambit/api';
import fc from 'fast-check';
import { compileFieldMatch, compileStringMatch, compileWithout } from './string-match.ts';

/** As it is sent in UTF-8: one character for each byte. */
const sent = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

const CASES: readonly (readonly [StringMatch, string | undefined, boolean])[] = [
  [{ exact: 'caf\u00e9' }, sent('caf\u00e9'), true],
  [{ exact: 'caf\u00e9' }, 'caf\xe9', false],
  [{ exact: '\u00c3\u00a9' }, sent('\u00e9'), false],
  [{ exact: '\u65e5\u672c' }, sent('\u65e5\u672c'), true],
  [{ exact: '\u65e5' }, '\xe5', false],
  [{ exact: '\u{1f600}' }, sent('\u{1f600}'), true],
  [{ exact: '' }, undefined, false],
  [{ prefix: '\u00e9' }, sent('\u00e9t\u00e9'), true],
  [{ prefix: '\u00e9' }, '\xe9t', false],
  [{ prefix: 'a' }, 'a\xff', true],
  [{ regex: '.' }, sent('\u00e9'), true],
  [{ regex: '..' }, sent('\u00e9'), false],
  [{ regex: '[\u00e0-\u00ff]+' }, sent('\u00e9\u00e8'), true],
  [{ regex: '[\u00e0-\u00ff]+' }, '\xe9', false],
  [{ regex: '.*' }, 'a\xff', false],
  [{ regex: 'a.*' }, 'ab', true],
  [{ regex: '.' }, '\xc0\x80', false],
  [{ regex: '.' }, '\xed\xa0\x80', false],
  [{ regex: '.a' }, '\xef\xbb\xbfa', true],
  [{ regex: '*' }, '\xff', true],
  [{ regex: '*' }, undefined, false],
  [{ present: true }, '\xff', true],
  [{ present: true }, undefined, false],
];

describe('a header with bytes beyond ASCII', () => {
  for (const [match, value, holds] of CASES) {
    it(`${JSON.stringify(match)} ${holds ? 'takes' : 'does not take'} ${JSON.stringify(value)}`, () => {
      assert.equal(compileFieldMatch(match, 'x')(value), holds);
      const isPresence = 'present' in match || ('regex' in match && match.regex === '*');
      const without = isPresence ? !holds : !compileFieldMatch(match, 'x')(value ?? '');
      assert.equal(compileWithout(match, 'x')(value), without);
    });
  }

  it('is compared as text, whatever the text', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 4 });
    fc.assert(
      fc.property(text, text, (written, other) => {
        for (const match of [{ exact: written }, { prefix: written }] as const) {
          const expected = compileStringMatch(match)(other);
          assert.equal(compileFieldMatch(match, 'x')(sent(other)), expected);
        }
      }),
    );
  });

  it('is compared as bytes, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 6 }), (bytes) => {
        const value = Buffer.from(bytes).toString('latin1');
        const text = Buffer.from(bytes).toString('utf8');
        assert.equal(compileFieldMatch({ exact: text }, 'x')(value), sent(text) === value);
        assert.equal(compileFieldMatch({ regex: '(?s).*' }, 'x')(value), sent(text) === value);
      }),
    );
  });
});
