import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { normalPathText, pathTextProblem } from '@ambit/api';
import fc from 'fast-check';
import { normalizePath, type PathNormalization } from './normalize-path.ts';

/** target, NONE, BASE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES */
const TABLE: readonly (readonly [string, string, string, string, string])[] = [
  ['/', '/', '/', '/', '/'],
  ['/a/b', '/a/b', '/a/b', '/a/b', '/a/b'],
  ['/a/../b', '/a/../b', '/b', '/b', '/b'],
  ['/a/./b/.', '/a/./b/.', '/a/b/', '/a/b/', '/a/b/'],
  ['/../../x', '/../../x', '/x', '/x', '/x'],
  ['/a/..', '/a/..', '/', '/', '/'],
  ['/...', '/...', '/...', '/...', '/...'],
  ['/a\\..\\b', '/a\\..\\b', '/b', '/b', '/b'],
  ['/a//b', '/a//b', '/a//b', '/a/b', '/a/b'],
  ['/a/%2e%2E/b', '/a/%2E%2E/b', '/b', '/b', '/b'],
  ['/%61dmin', '/%61dmin', '/admin', '/admin', '/admin'],
  ['/a%2fb', '/a%2Fb', '/a%2Fb', '/a%2Fb', '/a/b'],
  ['/a%5C..%2Fb', '/a%5C..%2Fb', '/a%5C..%2Fb', '/a%5C..%2Fb', '/b'],
  ['/a%252fb', '/a%252fb', '/a%252fb', '/a%252fb', '/a%252fb'],
  ['/caf%c3%a9', '/caf%C3%A9', '/caf%C3%A9', '/caf%C3%A9', '/caf%C3%A9'],
  ['//a', '//a', '//a', '/a', '/a'],
  ['/a%20b', '/a%20b', '/a%20b', '/a%20b', '/a%20b'],
  ['*', '*', '*', '*', '*'],
];
const MODES: readonly PathNormalization[] = [
  'NONE',
  'BASE',
  'MERGE_SLASHES',
  'DECODE_AND_MERGE_SLASHES',
];

describe('normalizePath', () => {
  for (const [target, ...wanted] of TABLE) {
    it(`normalises ${target}`, () => {
      MODES.forEach((mode, index) => {
        assert.deepEqual(
          normalizePath(target, mode),
          { ok: true, path: wanted[index], query: '' },
          mode,
        );
      });
    });
  }

  it('leaves the query alone', () => {
    assert.deepEqual(normalizePath('/a/../b?x=%zz/../y?z'), {
      ok: true,
      path: '/b',
      query: '?x=%zz/../y?z',
    });
  });

  for (const target of [
    '',
    'a',
    '?a',
    '/a#b',
    '/a%00b',
    '/a%',
    '/a%2',
    '/a%zz',
    '/%%34',
    '/a b',
    '/a\0',
    '/é',
    '/a\r\nb',
    '*x',
    `/${'a'.repeat(70_000)}`,
  ]) {
    it(`refuses ${JSON.stringify(target.slice(0, 20))}`, () => {
      assert.equal(normalizePath(target).ok, false);
    });
  }

  it('is stable: a normal path stays as it is, and has one spelling', () => {
    const piece = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2e',
      '%2F',
      '%5c',
      '\\',
      'a',
      '%61',
      '%25',
      '//',
      '%c3',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom(...MODES), (pieces, mode) => {
        const first = normalizePath(`/${pieces.join('')}`, mode);
        assert.ok(first.ok);
        assert.deepEqual(normalizePath(first.path, mode), first);
        if (mode !== 'NONE') {
          assert.doesNotMatch(first.path, /\\|\/\.\.?(\/|$)/);
        }
        if (mode === 'DECODE_AND_MERGE_SLASHES') {
          assert.doesNotMatch(first.path, /\/\/|%2f|%5c/i);
        }
      }),
    );
  });

  it('takes a path that has one spelling as it takes the same path with a query, of which more is looked at', () => {
    const char = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('/', 'a', '.', '%41', '%', '\\', '#', '*') },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
    );
    fc.assert(
      fc.property(fc.array(char, { maxLength: 6 }), fc.constantFrom(...MODES), (chars, mode) => {
        for (const target of [chars.join(''), `/${chars.join('')}`]) {
          const { ...found } = normalizePath(target, mode);
          const { ...other } = normalizePath(`${target}?`, mode);
          // The server as a whole (OPTIONS) has no query.
          if (!target.includes('?') && target !== '*') {
            assert.deepEqual(found, other.ok ? { ...other, query: '' } : other, target);
          }
        }
      }),
    );
  });

  it('knows of every text that people write whether it is the path of a request', () => {
    const piece = fc.constantFrom(
      ...[
        '/',
        '.',
        '..',
        '%2e',
        '%2F',
        '%5c',
        '\\\\',
        'a',
        '%61',
        '%7E',
        '%',
        '%zz',
        '%00',
        '#',
        '\u00e9',
      ],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, isAbsolute) => {
        const written = `${isAbsolute ? '/' : ''}${pieces.join('')}`;
        const text = normalPathText(written);
        const normal = normalizePath(written);
        const isOne = normal.ok && normal.path === text;
        assert.equal(pathTextProblem(written, 'whole') === undefined, isOne, written);
        const { instead } = pathTextProblem(written, 'whole') ?? {};
        if (instead !== undefined && normal.ok) {
          assert.equal(instead, normal.path, written);
        }
      }),
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom(...MODES), (text, mode) => {
        normalizePath(text, mode);
        normalizePath(`/${text}`, mode);
      }),
    );
  });
});
