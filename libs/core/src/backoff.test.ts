import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Backoff } from './backoff.ts';

describe('Backoff', () => {
  it('doubles from the initial delay to the maximum', () => {
    const backoff = new Backoff({ initialMs: 10, maxMs: 15_000 });
    const delays = Array.from({ length: 13 }, () => backoff.next());
    assert.deepEqual(delays.slice(0, 4), [10, 20, 40, 80]);
    assert.deepEqual(delays.slice(-3), [10_240, 15_000, 15_000].slice(-3));
  });

  it('starts over after a reset', () => {
    const backoff = new Backoff({ initialMs: 10, maxMs: 100 });
    backoff.next();
    backoff.next();
    assert.equal(backoff.failures, 2);
    backoff.reset();
    assert.equal(backoff.next(), 10);
  });

  it('spreads by the jitter on both sides', () => {
    const at = (random: number): number =>
      new Backoff({ initialMs: 1000, maxMs: 1000, jitter: 0.2, random: () => random }).next();
    assert.equal(at(0), 800);
    assert.equal(at(0.5), 1000);
    assert.equal(at(1), 1200);
  });

  it('stays at the maximum after very many failures', () => {
    const backoff = new Backoff({ initialMs: 1, maxMs: 5 });
    for (let failure = 0; failure < 5_000; failure += 1) {
      backoff.next();
    }
    assert.equal(backoff.next(), 5);
  });
});
