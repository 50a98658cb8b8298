import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { type FetchPriority, FetchSlots } from './fetch-slots.ts';

describe('FetchSlots', () => {
  it('grants by priority, then by age, and never more than the maximum', async () => {
    const slots = new FetchSlots({ max: 1 });
    const order: string[] = [];
    const ask = (name: string, priority: FetchPriority): ReturnType<FetchSlots['request']> => {
      const ticket = slots.request(priority);
      void ticket.granted.then(() => {
        order.push(name);
        ticket.release();
      });
      return ticket;
    };
    const busy = slots.request('background');
    ask('refresh', 'background');
    ask('warm-1', 'warmup');
    const raised = ask('warm-2', 'warmup');
    ask('caller', 'now');
    raised.raise('now');
    raised.raise('background');
    assert.equal(slots.waiting, 4);
    busy.release();
    await new Promise(setImmediate);
    assert.deepEqual(order, ['caller', 'warm-2', 'warm-1', 'refresh']);
    assert.equal(slots.inUse, 0);
  });

  it('counts right under any sequence of requests and releases', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(20)), (max, steps) => {
        const slots = new FetchSlots({ max });
        const open: ReturnType<FetchSlots['request']>[] = [];
        for (const step of steps) {
          if (step % 2 === 0 || open.length === 0) {
            open.push(slots.request(step % 4 === 0 ? 'now' : 'background'));
          } else {
            const [ticket] = open.splice(step % open.length, 1);
            ticket?.release();
            ticket?.release();
          }
          assert.equal(slots.inUse, Math.min(max, open.length));
          assert.equal(slots.waiting, Math.max(0, open.length - max));
        }
      }),
    );
  });
});
