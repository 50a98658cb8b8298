import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forgetKeepsakes, keepsake } from './keepsake.ts';
import { isCollected } from './testing.ts';

function made(kind: string): WeakRef<object> {
  const work = { name: kind };
  keepsake(kind, { work });
  return new WeakRef(work);
}

test('the last of a kind is kept, with all that it leads to', async () => {
  assert.equal(await isCollected(made('one')), false);
});

test('only the last of a kind is kept, and other kinds are not touched', async () => {
  const [first, other] = [made('two'), made('three')];
  const second = made('two');
  assert.equal(await isCollected(first), true);
  assert.equal(await isCollected(second), false);
  assert.equal(await isCollected(other), false);
});

test('what is forgotten is gone, and the next is kept again', async () => {
  const before = made('four');
  forgetKeepsakes();
  assert.equal(await isCollected(before), true);
  assert.equal(await isCollected(made('four')), false);
});
