import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { DialBackoff } from './dial-backoff.ts';

describe('DialBackoff', () => {
  it('waits twice as long after each failure, up to a bound, half of it by chance', () => {
    const waits = (random: number): readonly number[] => {
      const clock = new FakeClock();
      const backoff = new DialBackoff(clock, () => random);
      return Array.from({ length: 6 }, () => {
        backoff.failed('a');
        const waitMs = backoff.waitMs('a');
        clock.advance(waitMs);
        return waitMs;
      });
    };
    assert.deepEqual(waits(0), [25, 50, 100, 200, 250, 250]);
    assert.deepEqual(waits(1), [50, 100, 200, 400, 500, 500]);
  });

  it('asks at once again whom it has lost once, and not whom it loses over and over', () => {
    const backoff = new DialBackoff(new FakeClock(), () => 1);
    backoff.lost('a');
    assert.deepEqual([backoff.has('a'), backoff.waitMs('a')], [true, 0]);
    backoff.lost('a');
    assert.equal(backoff.waitMs('a'), 50);
  });

  it('knows keys apart, and forgets whom it has reached', () => {
    const backoff = new DialBackoff(new FakeClock(), () => 1);
    backoff.failed('a');
    backoff.failed('b');
    backoff.succeeded('a');
    assert.deepEqual([backoff.waitMs('a'), backoff.waitMs('b')], [0, 50]);
    backoff.succeeded('b');
    assert.equal(backoff.isEmpty, true);
  });

  it('begins anew after a while', () => {
    const clock = new FakeClock();
    const backoff = new DialBackoff(clock, () => 1);
    for (let i = 0; i < 5; i += 1) backoff.failed('a');
    clock.advance(10_500);
    assert.equal(backoff.has('a'), false);
    backoff.failed('a');
    assert.equal(backoff.waitMs('a'), 50);
  });

  it('remembers only so many', () => {
    const backoff = new DialBackoff(new FakeClock(), () => 1);
    for (let i = 0; i <= 1_024; i += 1) backoff.failed(`key ${i}`);
    assert.deepEqual([backoff.has('key 0'), backoff.has('key 1')], [false, true]);
  });
});
