import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { dropIdleSlabs, SlabPool } from './slab-pool.ts';

describe('SlabPool', () => {
  it('lends the same memory again once a write is done, emptied', () => {
    const pool = new SlabPool({ slabBytes: 8, idleMax: 2 });
    const slab = pool.lend();
    assert.equal(slab.append(Buffer.from('0123456789')), 8);
    assert.equal(slab.append(Buffer.from('89')), 0);
    assert.equal(slab.content.toString(), '01234567');
    slab.onWritten();
    const again = pool.lend();
    assert.equal(again, slab);
    assert.equal(again.content.length, 0);
  });

  it('never lends two owners the same memory', () => {
    const pool = new SlabPool({ slabBytes: 8, idleMax: 8 });
    const lent = [pool.lend(), pool.lend(), pool.lend()];
    assert.equal(new Set(lent.map((slab) => slab.memory)).size, 3);
    const [first] = lent;
    first?.onWritten();
    assert.throws(() => first?.onWritten(), /twice/);
  });

  it('does not use the memory of a failed write again', () => {
    const pool = new SlabPool({ slabBytes: 8, idleMax: 8 });
    pool.lend().onWritten(new Error('ECONNRESET'));
    assert.equal(pool.idle, 0);
  });

  it('lets go of what is not lent, and of nothing else', () => {
    const pool = new SlabPool({ slabBytes: 8, idleMax: 8 });
    const [kept, idle] = [pool.lend(), pool.lend()];
    kept.append(Buffer.from('kept'));
    idle.onWritten();
    dropIdleSlabs();
    assert.equal(pool.idle, 0);
    assert.equal(kept.content.toString(), 'kept');
    kept.onWritten();
    assert.equal(pool.idle, 1);
  });

  it('keeps no more than its bound', () => {
    const pool = new SlabPool({ slabBytes: 8, idleMax: 2 });
    for (const slab of [pool.lend(), pool.lend(), pool.lend()]) {
      pool.giveBack(slab);
    }
    assert.equal(pool.idle, 2);
  });
});
