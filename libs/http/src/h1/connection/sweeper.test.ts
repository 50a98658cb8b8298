/** One timer for all: who is asked, and who is when others throw. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { Sweeper } from './sweeper.ts';

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

describe('Sweeper', () => {
  it('asks each of them once a second, also beside one that throws, and that one too', async () => {
    const clock = new FakeClock();
    const errors: unknown[] = [];
    const sweeper = new Sweeper(clock, { onError: (error) => errors.push(error) });
    const asked: string[] = [];
    const broken = new Error('broken');
    const member = (name: string) =>
      sweeper.add({
        sweep: (nowMs) => {
          asked.push(`${name} ${nowMs}`);
          if (name === 'b') throw broken;
        },
      });
    const members = ['a', 'b', 'c'].map(member);
    for (let second = 0; second < 2; second += 1) {
      clock.advance(1_000);
      await settle();
    }
    assert.deepEqual(asked, ['a 1000', 'b 1000', 'c 1000', 'a 2000', 'b 2000', 'c 2000']);
    assert.deepEqual(errors, [broken, broken]);
    for (const one of members) sweeper.delete(one);
    clock.advance(1_000);
    await settle();
    assert.equal(asked.length, 6);
  });

  it('asks others without anybody to tell', async () => {
    const clock = new FakeClock();
    const sweeper = new Sweeper(clock);
    let asked = 0;
    sweeper.add({
      sweep: () => {
        throw new Error('broken');
      },
    });
    sweeper.add({
      sweep: () => {
        asked += 1;
      },
    });
    clock.advance(1_000);
    await settle();
    assert.equal(asked, 1);
  });
});
