import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseCpuTimes } from './machine.ts';

describe('parseCpuTimes', () => {
  it('counts guests once, and waiting as idle', () => {
    const text = 'cpu  100 1 20 300 40 5 6 7 90 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n';
    assert.deepEqual(parseCpuTimes(text), { total: 479, idle: 340, steal: 7 });
  });

  it('refuses anything without the line of all processors', () => {
    for (const text of [
      '',
      'cpu0 1 2 3 4 5 6 7 8 9 10\n',
      'cpu  1 2 3\n',
      'cpu  a b c d e f g h\n',
    ]) {
      assert.throws(() => parseCpuTimes(text), RangeError, text);
    }
  });
});
