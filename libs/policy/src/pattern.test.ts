import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  compilePatterns,
  matchesPattern,
  parsePathPattern,
  parseStringPattern,
} from './pattern.ts';

const SHAPES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['abc', ['abc'], ['', 'ab', 'abcd', 'xabc', 'ABC']],
  ['abc*', ['abc', 'abcd'], ['', 'ab', 'xabc']],
  ['*abc', ['abc', 'xabc'], ['', 'abcd']],
  ['*', ['a', '*'], ['']],
  ['a*c', ['a*c'], ['abc', 'ac', '']],
  ['*a*', ['a*', 'xa*'], ['a', 'ab', 'xay']],
  ['**', ['*', 'x*'], ['', 'x']],
  ['', [''], ['a']],
];

const TEMPLATES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['/a/{*}', ['/a/b', '/a/.'], ['/a/', '/a', '/a/b/', '/a/b/c', '/x/b']],
  ['/a/{*}/c', ['/a/b/c'], ['/a//c', '/a/b/b/c', '/a/b/c/', '/a/b']],
  ['/{*}/{*}', ['/a/b'], ['/a', '/a/', '//b', '/a/b/c']],
  ['/a/{**}', ['/a/', '/a/b', '/a/b/c/'], ['/a', '/ab', '/b/a/']],
  ['/a/{**}/c', ['/a/b/c', '/a/b/d/c', '/a//c'], ['/a/c', '/a/b/cd', '/a/b']],
  ['/{*}/x/{**}', ['/a/x/', '/a/x/b/c'], ['/x/', '/a/b/x/', '/a/x']],
];

describe('parseStringPattern', () => {
  for (const [text, yes, no] of SHAPES) {
    it(`reads "${text}"`, () => {
      const pattern = parseStringPattern(text);
      for (const value of yes) {
        assert.ok(matchesPattern(pattern, value), `${text} should match ${value}`);
      }
      for (const value of no) {
        assert.ok(!matchesPattern(pattern, value), `${text} should not match ${value}`);
      }
    });
  }
});

describe('parsePathPattern', () => {
  for (const [text, yes, no] of TEMPLATES) {
    it(`reads "${text}"`, () => {
      const pattern = parsePathPattern(text);
      assert.ok(pattern?.kind === 'template');
      for (const value of yes) {
        assert.ok(matchesPattern(pattern, value), `${text} should match ${value}`);
      }
      for (const value of no) {
        assert.ok(!matchesPattern(pattern, value), `${text} should not match ${value}`);
      }
    });
  }

  it('refuses what breaks the grammar of templates', () => {
    for (const text of ['{*}', '/{**}/{*}', '/{**}/{**}', '/a{*}', '/{*}b', '/{*}/*', '/{*}/{a}']) {
      assert.equal(parsePathPattern(text), undefined, text);
    }
  });
});

describe('compilePatterns', () => {
  it('is the OR of its patterns, also for many exact ones', () => {
    const names = Array.from({ length: 40 }, (_, index) => `n${index}`);
    const test = compilePatterns([...names, 'p*'].map(parseStringPattern));
    for (const name of [...names, 'p', 'px']) {
      assert.ok(test(name), name);
    }
    for (const name of ['', 'n40', 'n', 'xp']) {
      assert.ok(!test(name), name);
    }
  });
});
