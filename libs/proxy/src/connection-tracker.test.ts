import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';

import { ConnectionTracker } from './connection-tracker.ts';

const DENIED = new MeshError('DENIED', 'policy change', { side: 'local' });

describe('ConnectionTracker', () => {
  it('closes what is no longer allowed, once, and leaves the rest', () => {
    const tracker = new ConnectionTracker<string>({ max: 10 });
    const closed: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      tracker.register(name, { abort: ({ code }) => closed.push(`${name} ${code}`) });
    }
    const check = (name: string) => (name === 'b' ? DENIED : undefined);
    assert.equal(tracker.reevaluate(check), 1);
    assert.equal(tracker.reevaluate(check), 0);
    assert.deepEqual(closed, ['b DENIED']);
    assert.deepEqual([...tracker.contexts()], ['a', 'c']);
    assert.deepEqual(tracker.counters, {
      live: 2,
      opened: 3,
      refusedAtBound: 0,
      closedByChange: 1,
    });
  });

  it('refuses beyond its bound, counts, and takes more when one has gone', () => {
    const tracker = new ConnectionTracker<string>({ max: 1 });
    const life = { abort: () => undefined };
    const first = tracker.register('a', life);
    assert.equal(tracker.register('a', life), undefined);
    assert.equal(tracker.counters.refusedAtBound, 1);
    first?.[Symbol.dispose]();
    assert.ok(tracker.register('a', life));
  });

  it('may be changed from inside a close', () => {
    const tracker = new ConnectionTracker<string>({ max: 10 });
    const holds = new Map<string, Disposable | undefined>();
    for (const name of ['a', 'b']) {
      holds.set(name, tracker.register(name, { abort: () => holds.get('b')?.[Symbol.dispose]() }));
    }
    assert.doesNotThrow(() => tracker.reevaluate(() => DENIED));
  });

  it('is idle when the last hold is gone, also of those told to close', async () => {
    const tracker = new ConnectionTracker<string>({ max: 10 });
    await tracker.idle();
    const hold = tracker.register('a', { abort: () => undefined });
    let isIdle = false;
    const idle = tracker.idle().then(() => {
      isIdle = true;
    });
    tracker.closeAll(DENIED);
    await Promise.resolve();
    assert.equal(isIdle, false);
    hold?.[Symbol.dispose]();
    await idle;
  });
});
