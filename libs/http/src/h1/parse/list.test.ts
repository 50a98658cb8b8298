import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listElements } from './list.ts';

describe('listElements', () => {
  for (const [value, elements] of [
    ['a', ['a']],
    [' a ,\tb\t', ['a', 'b']],
    ['a b', ['a b']],
    ['', ['']],
    [',', ['', '']],
    [' , a', ['', 'a']],
    // Not white space in HTTP, though JavaScript thinks so.
    ['\xa0a', ['\xa0a']],
    ['a\x0b', ['a\x0b']],
  ] as const) {
    it(JSON.stringify(value), () => {
      assert.deepEqual(listElements(value), elements);
    });
  }
});
