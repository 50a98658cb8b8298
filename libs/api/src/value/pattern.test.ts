import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatPath } from './path.ts';
import { expandPattern } from './pattern.ts';

const ROOT = {
  http: [{ route: [{ weight: 1 }, { weight: 2 }] }, { route: [{}] }, null, 'x'],
  labels: { 'a/x': '1', b: '2', 'a/y': '3' },
};

const CASES: readonly (readonly [pattern: string, paths: readonly string[]])[] = [
  ['http[].route[].weight', ['http[0].route[0].weight', 'http[0].route[1].weight']],
  ['labels.{a/}', ['labels["a/x"]', 'labels["a/y"]']],
  ['labels.*', ['labels["a/x"]', 'labels.b', 'labels["a/y"]']],
  ['labels.b', ['labels.b']],
  ['', ['']],
  ['labels[]', []],
  ['http.route', []],
  ['http[].route.weight', []],
  ['labels.b.c', []],
  ['labels.toString', []],
];

describe('expandPattern', () => {
  for (const [pattern, paths] of CASES) {
    it(`finds ${paths.length} of "${pattern}"`, () => {
      assert.deepEqual(expandPattern(ROOT, pattern).map(formatPath), paths);
    });
  }
});
