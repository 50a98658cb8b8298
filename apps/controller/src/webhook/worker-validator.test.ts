import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Clock, systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';

import { bytesOf, reviewOf, VIRTUAL_SERVICE } from './review.testing.ts';
import type { ToValidator } from './validate-messages.ts';
import type { ValidationOutcome } from './validator.ts';
import { threadSpawner, type ValidatorThreadEvents } from './validator-thread.ts';
import { WorkerValidator, type WorkerValidatorLimits } from './worker-validator.ts';

const DONE: ValidationOutcome = { kind: 'unreadable', message: 'done' };

/** A thread that answers when told. */
class FakeThread {
  readonly events: ValidatorThreadEvents;
  readonly posted: ToValidator[] = [];
  isEnded = false;

  constructor(events: ValidatorThreadEvents) {
    this.events = events;
  }

  post(message: ToValidator): void {
    this.posted.push(message);
  }

  finish(): void {
    this.isEnded = true;
    this.events.onExit();
  }

  end(): void {
    this.isEnded = true;
  }

  ready(): void {
    this.events.onMessage({ kind: 'ready' });
  }

  answer(): void {
    const id = this.posted.at(-1)?.id ?? -1;
    this.events.onMessage({ kind: 'outcome', id, outcome: DONE });
  }
}

function setUp(limits: Partial<WorkerValidatorLimits> = {}, clock: Clock = new FakeClock()) {
  const threads: FakeThread[] = [];
  const validator = new WorkerValidator({
    clock,
    limits,
    spawn: (events) => {
      const thread = new FakeThread(events);
      threads.push(thread);
      return thread;
    },
  });
  const thread = (index: number): FakeThread => threads[index] ?? assert.fail(`no thread ${index}`);
  const review = (namespace: string) =>
    validator.validate(bytesOf(reviewOf(VIRTUAL_SERVICE, { namespace })));
  return { validator, threads, thread, review };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('WorkerValidator', () => {
  it('gives a review to a thread that is ready, and answers', async () => {
    const { thread, review } = setUp();
    const answer = review('a');
    assert.equal(thread(0).posted.length, 0, 'the thread is not ready');
    thread(0).ready();
    thread(0).answer();
    assert.deepEqual(await answer, DONE);
  });

  it('keeps the second thread free of a namespace that has the first', async () => {
    const { thread, review } = setUp();
    thread(0).ready();
    thread(1).ready();
    const slow = [review('a'), review('a'), review('a')];
    assert.equal(thread(1).posted.length, 0, 'a waits for a');
    const other = review('b');
    thread(1).answer();
    assert.deepEqual(await other, DONE, 'b does not');
    for (const answer of slow) {
      thread(0).answer();
      await answer;
    }
  });

  it('runs one large object at a time', async () => {
    const { thread, review, validator } = setUp({ largeBytes: 10 });
    thread(0).ready();
    thread(1).ready();
    const answers = [review('a'), review('b')];
    assert.deepEqual([thread(0).posted.length, thread(1).posted.length], [1, 0]);
    thread(0).answer();
    thread(0).answer();
    await Promise.all(answers);
    await validator.close();
  });

  it('ends and replaces a thread at the deadline', async () => {
    const clock = new FakeClock();
    const { threads, thread, review } = setUp({ threads: 1 }, clock);
    thread(0).ready();
    const slow = review('a');
    const next = review('b');
    clock.advance(1_999);
    await turn();
    assert.equal(thread(0).isEnded, false);
    clock.advance(1);
    assert.deepEqual(await slow, { kind: 'exhausted' });
    assert.equal(thread(0).isEnded, true);
    assert.deepEqual(await next, { kind: 'busy' }, 'it waited as long');
    thread(0).events.onExit();
    await turn();
    assert.equal(threads.length, 2);
    thread(1).ready();
    const after = review('a');
    thread(1).answer();
    assert.deepEqual(await after, DONE);
  });

  it('leaves a thread behind that does not end', async () => {
    const clock = new FakeClock();
    const { threads, thread, review, validator } = setUp({ threads: 1 }, clock);
    thread(0).ready();
    const slow = review('a');
    clock.advance(2_000);
    await slow;
    await turn();
    clock.advance(5_000);
    await turn();
    assert.equal(threads.length, 2);
    assert.equal(validator.leftBehind, 1);
    thread(1).ready();
    thread(0).events.onExit();
    const next = review('a');
    thread(1).answer();
    assert.deepEqual(await next, DONE);
  });

  it('ignores what an ended thread still says', async () => {
    const clock = new FakeClock();
    const { thread, review } = setUp({ threads: 1 }, clock);
    thread(0).ready();
    const slow = review('a');
    clock.advance(2_000);
    await slow;
    thread(0).answer();
    const waiting = review('a');
    assert.equal(thread(0).posted.length, 1);
    clock.advance(2_000);
    assert.deepEqual(await waiting, { kind: 'busy' });
  });

  it('calls an object exhausting whose thread died of it', async () => {
    const { thread, review } = setUp({ threads: 1 });
    thread(0).ready();
    const fatal = review('a');
    thread(0).events.onExit();
    assert.deepEqual(await fatal, { kind: 'exhausted' });
  });

  it('starts threads that cannot start more and more slowly', async () => {
    const clock = new FakeClock();
    const { threads, thread } = setUp({ threads: 1 }, clock);
    for (const waitMs of [100, 200, 400]) {
      const count = threads.length;
      thread(count - 1).events.onExit();
      await turn();
      clock.advance(waitMs - 1);
      await turn();
      assert.equal(threads.length, count, `not before ${waitMs} ms`);
      clock.advance(1);
      await turn();
      assert.equal(threads.length, count + 1, `after ${waitMs} ms`);
    }
  });

  it('is busy when the queue of a namespace, or of all, is full', async () => {
    const { review, validator } = setUp({ queueMax: 3, queuePerNamespaceMax: 2 });
    const waiting = [review('a'), review('a')];
    assert.deepEqual(await review('a'), { kind: 'busy' });
    waiting.push(review('b'));
    assert.deepEqual(await review('c'), { kind: 'busy' });
    assert.equal(validator.waiting, 3);
    await validator.close();
    assert.deepEqual(await Promise.all(waiting), [
      { kind: 'busy' },
      { kind: 'busy' },
      { kind: 'busy' },
    ]);
  });

  it('answers everything when it closes, and takes nothing more', async () => {
    const { thread, review, validator } = setUp({ threads: 1 });
    thread(0).ready();
    const answers = [review('a'), review('a')];
    const closed = validator.close();
    assert.deepEqual(await Promise.all(answers), [{ kind: 'busy' }, { kind: 'busy' }]);
    assert.equal(thread(0).isEnded, true);
    thread(0).events.onExit();
    await closed;
    assert.deepEqual(await review('b'), { kind: 'busy' });
  });
});

describe('WorkerValidator with threads', () => {
  it('validates, and survives an object that never ends', async () => {
    const validator = new WorkerValidator({
      clock: systemClock,
      limits: { threads: 1, waitMs: 20_000, runMs: 1_500 },
      spawn: threadSpawner(new URL('./endless-worker.testing.ts', import.meta.url)),
    });
    const endless = { ...VIRTUAL_SERVICE, metadata: { name: 'endless' } };
    try {
      const first = await validator.validate(bytesOf(reviewOf(VIRTUAL_SERVICE)));
      assert.ok(first.kind === 'verdict' && first.verdict.allowed, JSON.stringify(first));
      const second = await validator.validate(bytesOf(reviewOf(endless)));
      assert.deepEqual(second, { kind: 'exhausted' });
      const third = await validator.validate(bytesOf(reviewOf(VIRTUAL_SERVICE)));
      assert.ok(third.kind === 'verdict' && third.verdict.allowed, JSON.stringify(third));
    } finally {
      await validator.close();
    }
  });
});
