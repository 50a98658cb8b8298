import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Turns } from './turns.ts';

function setUp(count: number, max: number) {
  const turns = new Turns(max);
  const works = Array.from({ length: count }, () => Promise.withResolvers<number>());
  const begun: number[] = [];
  const results = works.map(({ promise }, index) =>
    turns.run(async () => {
      begun.push(index);
      return await promise;
    }),
  );
  return { turns, works, begun, results };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) {
    await Promise.resolve();
  }
}

describe('Turns', () => {
  it('runs so many at once and the others in order', async () => {
    const { turns, works, begun, results } = setUp(5, 2);
    await settle();
    assert.deepEqual([begun, turns.running, turns.waiting], [[0, 1], 2, 3]);
    works[1]?.resolve(1);
    await settle();
    assert.deepEqual([begun, turns.running, turns.waiting], [[0, 1, 2], 2, 2]);
    for (const [index, work] of works.entries()) {
      work.resolve(index);
    }
    assert.deepEqual(await Promise.all(results), [0, 1, 2, 3, 4]);
    assert.deepEqual([begun, turns.running, turns.waiting], [[0, 1, 2, 3, 4], 0, 0]);
    assert.equal(turns.taken, 5);
  });

  it('passes the turn on when one fails, be it at once or later', async () => {
    const turns = new Turns(1);
    const first = turns.run(() => {
      throw new Error('at once');
    });
    const second = turns.run(() => Promise.reject(new Error('later')));
    const third = turns.run(() => Promise.resolve('done'));
    await assert.rejects(first, /at once/);
    await assert.rejects(second, /later/);
    assert.equal(await third, 'done');
    assert.deepEqual([turns.running, turns.waiting], [0, 0]);
  });

  it('lets nobody in before those who wait', async () => {
    const { turns, works, begun, results } = setUp(2, 1);
    works[0]?.resolve(0);
    await results[0];
    const late = turns.run(() => {
      begun.push(99);
      return Promise.resolve(99);
    });
    works[1]?.resolve(1);
    await late;
    assert.deepEqual(begun, [0, 1, 99]);
  });
});
