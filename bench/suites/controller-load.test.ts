import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inParallel } from '../cluster/api-calls.ts';
import { quantiles } from './controller-load.ts';

describe('quantiles', () => {
  it('are samples themselves, by rank', () => {
    const samples = Array.from({ length: 200 }, (_, index) => 200 - index);
    assert.deepEqual(quantiles(samples), { p50: 100, p99: 198, max: 200 });
    assert.deepEqual(quantiles([7]), { p50: 7, p99: 7, max: 7 });
  });
});

describe('work in parallel', () => {
  it('is done once each, never more than the width at a time', async () => {
    const done: number[] = [];
    let running = 0;
    let most = 0;
    await inParallel(Array(20).keys(), 3, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
      done.push(item);
    });
    assert.deepEqual(
      done.sort((a, b) => a - b),
      [...Array(20).keys()],
    );
    assert.equal(most, 3);
  });

  it('ends with the first error', async () => {
    await assert.rejects(
      inParallel([1, 2, 3], 2, (item) =>
        item === 2 ? Promise.reject(new Error('two')) : Promise.resolve(),
      ),
      /two/,
    );
  });
});
