import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withUpperEscapes } from '@ambit/policy';
import fc from 'fast-check';
import { compilePathMatch, compilePathRegex } from './path-regex.ts';

/** Paths as they are judged. */
const MATCHES: readonly (readonly [pattern: string, path: string, holds: boolean])[] = [
  ['/adm%c3%a9(/.*)?', '/adm%C3%A9/x', true],
  ['/adm%c3%a9(/.*)?', '/adm%C3%A8', false],
  ['/adm%C3%a9', '/adm%C3%A9', true],
  ['/%[cC]3%a9', '/%C3%A9', true],
  ['/%[0-9a-f]{2}', '/%C3', true],
  ['/%(c3|c4)%a9', '/%C4%A9', true],
  ['[^A-Z]*', '/%C3', true],
  ['[^A-Z]*', '/A', false],
  [String.raw`/\%c3`, '/%C3', true],
  [String.raw`/\\%c3`, String.raw`/\%C3`, true],
  [String.raw`/\Q%c3.\E.`, '/%C3.x', true],
  [String.raw`/\Q%c3.`, '/%C3.', true],
  [String.raw`/\Q%c3.`, '/%C3x', false],
  // Three characters, not one.
  ['/[%c3]', '/c', true],
  ['/[%c3]', '/C', false],
  ['/[]%c3]+', '/c]', true],
  ['/[[:digit:]%c3]+', '/1c', true],
  ['/[[:digit:]%c3]+', '/1C', false],
  ['/caf%25c3', '/caf%25c3', true],
  ['/abc', '/ABC', false],
  ['*', '/', true],
  ['(?=a)', '/a', false],
];
const REWRITES: readonly (readonly [match: string, path: string, expected: string])[] = [
  ['/x%2f(.*)', '/x%2Fa%C3', '/a%C3'],
  ['/%[0-9a-f]{2}(.*)', '/%C3%A9', '/%A9'],
  ['/y', '/x%2F', '/x%2F'],
];

describe('regular expressions about paths', () => {
  for (const [pattern, path, holds] of MATCHES) {
    it(`${pattern} ${holds ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(compilePathMatch(pattern)(path), holds);
    });
  }

  for (const [match, path, expected] of REWRITES) {
    it(`${match} makes ${expected} of ${path}`, () => {
      const compiled = compilePathRegex(match);
      assert.ok(compiled.kind === 'ok');
      assert.equal(compiled.regex.replaceAll(path, String.raw`/\1`), expected);
    });
  }

  it('matches what it matched of paths as they were sent, in either case', () => {
    const piece = fc.constantFrom('%c3', '%C3', '%2f', '%2F', 'a', 'A', '/', 'c3', '%', '25');
    const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, (path) => {
        const sent = `/${path}`;
        for (const pattern of [sent, sent.toLowerCase(), withUpperEscapes(sent)]) {
          const isSame = withUpperEscapes(pattern) === withUpperEscapes(sent);
          assert.equal(compilePathMatch(pattern)(withUpperEscapes(sent)), isSame, pattern);
        }
      }),
    );
  });
});
