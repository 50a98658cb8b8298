import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Capacity } from './capacity.ts';

describe('Capacity', () => {
  it('is a share of the least of the last ones', () => {
    const capacity = new Capacity();
    capacity.note('requests', 'a', 10);
    capacity.note('requests', 'a', 1_000);
    capacity.note('requests', 'b', 500);
    capacity.note('other', 'b', 1);
    assert.equal(capacity.shareOfLeast('requests', 0.6), 300);
    assert.equal(capacity.shareOfLeast('other', 0.1), 1);
    assert.throws(() => capacity.shareOfLeast('none', 0.6), /needs the case "none" before it/);
  });
});
