import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Clock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';

import { Deadlines } from './deadlines.ts';

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i += 1) {
    await Promise.resolve();
  }
}

describe('Deadlines', () => {
  it('fires each after its time and in order', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock, 100);
    const fired: string[] = [];
    deadlines.add(() => fired.push('a'));
    clock.advance(50);
    deadlines.add(() => fired.push('b'));
    clock.advance(50);
    await settle();
    assert.deepEqual(fired, ['a']);
    clock.advance(49);
    await settle();
    assert.deepEqual(fired, ['a']);
    clock.advance(1);
    await settle();
    assert.deepEqual(fired, ['a', 'b']);
    assert.equal(deadlines.size, 0);
  });

  it('never fires what was cancelled, and takes new ones after that', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock, 100);
    const fired: string[] = [];
    const first = deadlines.add(() => fired.push('a'));
    await settle();
    deadlines.cancel(first);
    deadlines.cancel(first);
    deadlines.add(() => fired.push('b'));
    await settle();
    clock.advance(100);
    await settle();
    assert.deepEqual(fired, ['b']);
    deadlines.add(() => fired.push('c'));
    clock.advance(100);
    await settle();
    assert.deepEqual(fired, ['b', 'c']);
  });

  it('runs one timer for all that come and go, and ends none before its time', async () => {
    const clock = new FakeClock();
    const sleeps: (object | undefined)[] = [];
    const counting: Clock = {
      now: () => clock.now(),
      wallNow: () => clock.wallNow(),
      sleep: async (ms, signal, options) => {
        sleeps.push(options);
        assert.equal(signal, undefined);
        await clock.sleep(ms);
      },
    };
    const deadlines = new Deadlines(counting, 100);
    for (let connection = 0; connection < 50; connection += 1) {
      const entry = deadlines.add(() => assert.fail('it was cancelled'));
      await settle();
      clock.advance(1);
      deadlines.cancel(entry);
      await settle();
    }
    assert.deepEqual(sleeps, [{ ref: false }]);
    let isLate = false;
    deadlines.add(() => {
      isLate = true;
    });
    clock.advance(50);
    await settle();
    assert.equal(isLate, false);
    clock.advance(50);
    await settle();
    assert.equal(isLate, true);
  });
});
