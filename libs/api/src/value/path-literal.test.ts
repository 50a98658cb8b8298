import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  normalPathPrefix,
  normalPathText,
  type PathPart,
  pathTextProblem,
} from './path-literal.ts';

/** `expected`: the path as it is judged, or why there is none. */
const TEXTS: readonly (readonly [part: PathPart, written: string, expected: string | RegExp])[] = [
  ['whole', '/', '/'],
  ['whole', '/%7Ebob', '/~bob'],
  ['whole', '/a%2Db', '/a-b'],
  ['whole', '/%61dmin', '/admin'],
  ['whole', '/caf%c3%a9', '/caf%C3%A9'],
  ['whole', '/x%5cy%2f', '/x%5Cy%2F'],
  ['whole', '//a/...', '//a/...'],
  ['whole', '/a.b/.c/..d', '/a.b/.c/..d'],
  ['prefix', '/caf%c', '/caf%C'],
  ['prefix', '/a%', '/a%'],
  ['prefix', '/a/.', '/a/.'],
  ['prefix', '/a/..', '/a/..'],
  ['prefix', '/%7e', '/~'],
  ['suffix', 'b', 'b'],
  ['suffix', './b', './b'],
  ['suffix', '%7Ebob', '~bob'],
  ['whole', '', /begins with \/.* \/$/],
  ['whole', 'admin', /begins with \/.* \/admin$/],
  ['prefix', 'admin', /begins with \/.* \/admin$/],
  ['whole', '/a\\b', /\\ is \/.* \/a\/b$/],
  ['suffix', 'a\\b', /\\ is \/.* a\/b$/],
  ['whole', '/a/./b', /resolved \/a\/b$/],
  ['whole', '/a/../b', /resolved \/b$/],
  ['whole', '/a/%2e%2E/b', /resolved \/b$/],
  ['whole', '/a/..', /resolved \/$/],
  ['whole', '/a/.', /resolved \/a\/$/],
  ['prefix', '/a/../b', /resolved \/b$/],
  ['suffix', '/../b', /resolved \/b$/],
  ['whole', '/%00', /NUL/],
  ['whole', '/%zz', /hex digits/],
  ['whole', '/a%', /hex digits/],
  ['whole', '/a%c', /hex digits/],
  ['prefix', '/%zz', /hex digits/],
  ['whole', '/a#b', /ASCII.* \/a%23b$/],
  ['whole', '/a b', /ASCII.* \/a%20b$/],
  ['suffix', '\u00e9', /ASCII.* %C3%A9$/],
];

describe('paths that people write', () => {
  for (const [part, written, expected] of TEXTS) {
    it(`${part} ${JSON.stringify(written)}: ${String(expected)}`, () => {
      const problem = pathTextProblem(written, part);
      if (typeof expected === 'string') {
        assert.equal(problem, undefined);
        const text = part === 'prefix' ? normalPathPrefix(written) : normalPathText(written);
        assert.equal(text, expected);
      } else {
        assert.ok(problem !== undefined);
        assert.match(`${problem.message} ${problem.instead ?? ''}`, expected);
      }
    });
  }
});
