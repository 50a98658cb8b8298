import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { LeaderDuty, untilAborted } from './leader-duty.ts';

class Duty extends LeaderDuty {
  readonly said: string[] = [];
  fails = 0;

  protected override async run(signal: AbortSignal): Promise<void> {
    this.said.push('begins');
    if (this.fails > 0) {
      this.fails -= 1;
      throw new Error('nobody thought of it');
    }
    await untilAborted(signal);
    this.said.push('ends');
  }
}

const turn = (): Promise<unknown> => new Promise(setImmediate);

describe('LeaderDuty', () => {
  it('ends one time of leading before the next begins', async () => {
    const duty = new Duty();
    const [first, second, never] = [1, 2, 3].map(() => new AbortController());
    assert.ok(first !== undefined && second !== undefined && never !== undefined);
    never.abort();
    duty.lead(first.signal);
    duty.lead(second.signal);
    duty.lead(never.signal);
    await turn();
    assert.deepEqual(duty.said, ['begins']);
    first.abort();
    await turn();
    assert.deepEqual(duty.said, ['begins', 'ends', 'begins']);
    second.abort();
    await duty.idle();
    assert.deepEqual(duty.said, ['begins', 'ends', 'begins', 'ends']);
  });

  it('begins again after a failure, in this time of leading and in the next', async () => {
    const duty = new Duty();
    const term = new AbortController();
    const failures: unknown[] = [];
    duty.fails = 2;
    duty.lead(term.signal, async (error) => {
      failures.push(error);
      await turn();
      if (failures.length === 2) term.abort();
    });
    await duty.idle();
    assert.equal(failures.length, 2);
    assert.deepEqual(duty.said, ['begins', 'begins']);
    const next = new AbortController();
    duty.lead(next.signal);
    await turn();
    next.abort();
    await duty.idle();
    assert.deepEqual(duty.said.slice(2), ['begins', 'ends']);
  });
});
