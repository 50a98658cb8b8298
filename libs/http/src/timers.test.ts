import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { Timers } from './timers.ts';

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('Timers', () => {
  it('fires each once, at its time, unless it was dropped', async () => {
    const clock = new FakeClock();
    const timers = new Timers(clock);
    const fired: string[] = [];
    timers.after(10, () => fired.push('ten'));
    const drop = timers.after(10, () => fired.push('never'));
    timers.after(20, () => fired.push('twenty'));
    drop();
    drop();
    for (const seen of [['ten'], ['ten', 'twenty'], ['ten', 'twenty']]) {
      clock.advance(10);
      await settle();
      assert.deepEqual(fired, seen);
    }
  });

  it('keeps to any number of lengths, and takes one that no timer holds for none', async () => {
    const clock = new FakeClock();
    const timers = new Timers(clock);
    let fired = 0;
    for (let ms = 1; ms <= 200; ms += 1) {
      timers.after(ms, () => {
        fired += 1;
      });
    }
    timers.after(400 * 86_400_000, () => assert.fail('a year is over'));
    timers.after(Number.POSITIVE_INFINITY, () => assert.fail('for ever is over'));
    timers.after(150, () => undefined)();
    for (let step = 0; step < 200; step += 1) {
      clock.advance(1);
      await settle();
    }
    assert.equal(fired, 200);
  });
});
