import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pairedRatios, spreadOf } from './statistics.ts';

describe('spreadOf', () => {
  it('knows median and range whatever the order', () => {
    const table: readonly (readonly [readonly number[], readonly number[]])[] = [
      [[5], [5, 5, 5, 1]],
      [
        [3, 1, 2],
        [2, 1, 3, 3],
      ],
      [
        [4, 1, 3, 2],
        [2.5, 1, 4, 4],
      ],
      [
        [10, 9, 100, 11, 8],
        [10, 8, 100, 5],
      ],
    ];
    for (const [samples, wanted] of table) {
      const spread = spreadOf(samples);
      const found = [spread?.median, spread?.min, spread?.max, spread?.count];
      assert.deepEqual(found, wanted, samples.join(' '));
    }
  });

  it('has nothing to say about nothing', () => {
    assert.equal(spreadOf([]), undefined);
  });
});

describe('pairedRatios', () => {
  it('divides within a round only', () => {
    const samples = new Map([
      [0, 10],
      [1, 30],
      [2, 7],
    ]);
    const base = new Map([
      [0, 5],
      [1, 10],
      [3, 1],
    ]);
    assert.deepEqual(pairedRatios(samples, base), [2, 3]);
  });

  it('leaves out rounds in which the base took nothing', () => {
    assert.deepEqual(pairedRatios(new Map([[0, 1]]), new Map([[0, 0]])), []);
  });
});
