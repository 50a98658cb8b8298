import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FairQueue } from './fair-queue.ts';

const any = () => true;

describe('FairQueue', () => {
  it('lets lanes take turns', () => {
    const queue = new FairQueue<string>({ total: 10, perLane: 10 });
    for (const item of ['a1', 'a2', 'a3', 'b1']) queue.push(item.slice(0, 1), item);
    const order: string[] = [];
    for (let taken = queue.take(any); taken !== undefined; taken = queue.take(any)) {
      order.push(taken.item);
      queue.release(taken.lane);
    }
    assert.deepEqual(order, ['a1', 'b1', 'a2', 'a3']);
    assert.equal(queue.size, 0);
  });

  it('has one of a lane out at a time', () => {
    const queue = new FairQueue<string>({ total: 10, perLane: 10 });
    queue.push('a', 'a1');
    queue.push('a', 'a2');
    assert.equal(queue.take(any)?.item, 'a1');
    assert.equal(queue.take(any), undefined);
    queue.release('a');
    assert.equal(queue.take(any)?.item, 'a2');
  });

  it('passes over what may not run', () => {
    const queue = new FairQueue<string>({ total: 10, perLane: 10 });
    queue.push('a', 'large');
    queue.push('a', 'small');
    assert.equal(queue.take((item) => item !== 'large')?.item, 'small');
    assert.equal(queue.size, 1);
  });

  it('is full in a lane and in all', () => {
    const queue = new FairQueue<number>({ total: 3, perLane: 2 });
    assert.deepEqual(
      [
        queue.push('a', 1),
        queue.push('a', 2),
        queue.push('a', 3),
        queue.push('b', 4),
        queue.push('c', 5),
      ],
      [true, true, false, true, false],
    );
    assert.equal(queue.size, 3);
  });

  it('forgets what is removed or drained', () => {
    const queue = new FairQueue<number>({ total: 3, perLane: 3 });
    queue.push('a', 1);
    queue.push('b', 2);
    assert.equal(queue.remove('a', 1), true);
    assert.equal(queue.remove('a', 1), false);
    assert.equal(queue.remove('c', 9), false);
    assert.deepEqual(queue.drain(), [2]);
    assert.equal(queue.size, 0);
    assert.equal(queue.take(any), undefined);
  });
});
