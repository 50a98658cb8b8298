import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileRegex, REGEX_LENGTH_MAX } from './regex.ts';

describe('compileRegex', () => {
  for (const [pattern, text, rewrite, expected] of [
    ['/v(\\d)/(x)', '/v1/x/v2/x', '/\\2/\\1', '/x/1/x/2'],
    ['a', 'aba', '$1', '$1b$1'],
    ['a', 'a', '$&', '$&'],
    ['(a)|(b)', 'ab', '[\\1\\2]', '[a][b]'],
    ['(a)', 'a', '\\0\\9', 'a'],
    ['a', 'a', '\\\\1', '\\1'],
    ['a', 'b', 'x', 'b'],
  ] as const) {
    it(`rewrites ${text} by ${pattern} with ${rewrite} to ${expected}`, () => {
      const compiled = compileRegex(pattern);
      assert.ok(compiled.kind === 'ok');
      assert.equal(compiled.regex.replaceAll(text, rewrite), expected);
    });
  }

  it('matches the whole value only', () => {
    const compiled = compileRegex('fo+');
    assert.ok(compiled.kind === 'ok');
    assert.equal(compiled.regex.matches('foo'), true);
    assert.equal(compiled.regex.matches('foo\n'), false);
    assert.equal(compiled.regex.matches('xfoo'), false);
  });

  for (const pattern of ['', '(', '(?=a)', '(a)\\1', 'x'.repeat(REGEX_LENGTH_MAX + 1)]) {
    it(`refuses "${pattern.slice(0, 20)}"`, () => {
      assert.equal(compileRegex(pattern).kind, 'error');
    });
  }
});
