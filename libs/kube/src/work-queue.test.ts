import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { createRegistry } from '@ambit/telemetry';
import { createKubeMetrics } from './metrics.ts';
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts';

/** Lets everything that is already possible happen. */
async function settle(): Promise<void> {
  await systemClock.sleep(2);
}

interface Turn {
  readonly key: string;
  readonly signal: AbortSignal;
  readonly done: (againMs?: number) => void;
  readonly fail: () => void;
}

function bed(options: Partial<WorkQueueOptions> = {}) {
  const clock = new FakeClock();
  const turns: Turn[] = [];
  const queue = new WorkQueue({
    name: 'test',
    clock,
    random: () => 0.5,
    backoff: { initialMs: 100, maxMs: 1_000, jitter: 0.5 },
    reconcile: async (key, { signal }) => {
      const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
      turns.push({ key, signal, done: resolve, fail: () => reject(new Error('no')) });
      return await promise;
    },
    ...options,
  });
  queue.start();
  return { clock, turns, queue, keys: () => turns.map((turn) => turn.key) };
}

describe('WorkQueue', () => {
  it('works on a key once however often it was added', async () => {
    const b = bed();
    for (const key of ['a', 'b', 'a', 'b', 'a']) {
      b.queue.add(key);
    }
    assert.deepEqual(b.keys(), [], 'nothing begins within add');
    for (const turn of [0, 1]) {
      await settle();
      b.turns[turn]?.done();
    }
    await settle();
    assert.deepEqual(b.keys(), ['a', 'b']);
    assert.equal(b.queue.size, 0);
  });

  it('works again on a key that was added during its work, and never twice at a time', async () => {
    const b = bed({ concurrency: 5 });
    b.queue.add('a');
    b.queue.add('a');
    await settle();
    b.queue.add('a');
    await settle();
    assert.deepEqual(b.keys(), ['a']);
    b.turns[0]?.done();
    await settle();
    assert.deepEqual(b.keys(), ['a', 'a']);
    b.turns[1]?.done();
    await settle();
    assert.equal(b.queue.size, 0);
  });

  it('works on no more keys at a time than allowed', async () => {
    const b = bed({ concurrency: 2 });
    for (const key of ['a', 'b', 'c']) {
      b.queue.add(key);
    }
    await settle();
    assert.deepEqual(b.keys(), ['a', 'b']);
    assert.equal(b.queue.depth, 1);
    b.turns[1]?.done();
    await settle();
    assert.deepEqual(b.keys(), ['a', 'b', 'c']);
  });

  it('tries a failing key later and later, and others at once', async () => {
    const b = bed();
    const waits: number[] = [];
    b.queue.add('bad');
    for (const waitMs of [100, 200, 400, 800, 1_000, 1_000]) {
      await settle();
      b.turns.at(-1)?.fail();
      await settle();
      b.queue.add('good');
      await settle();
      assert.equal(b.turns.at(-1)?.key, 'good', `before ${waitMs}`);
      b.turns.at(-1)?.done();
      await settle();
      b.clock.advance(waitMs - 1);
      await settle();
      assert.equal(b.turns.at(-1)?.key, 'good', `1 ms before ${waitMs}`);
      b.clock.advance(1);
      await settle();
      assert.equal(b.turns.at(-1)?.key, 'bad', `at ${waitMs}`);
      waits.push(waitMs);
    }
    b.turns.at(-1)?.done();
    await settle();
    assert.equal(b.queue.size, 0);
    b.queue.add('bad');
    await settle();
    b.turns.at(-1)?.fail();
    await settle();
    b.clock.advance(100);
    await settle();
    assert.equal(b.turns.length, 15);
  });

  it('works at once on a failing key that was added again', async () => {
    const b = bed();
    b.queue.add('a');
    await settle();
    b.turns[0]?.fail();
    await settle();
    b.queue.add('a');
    await settle();
    assert.equal(b.turns.length, 2);
    b.turns[1]?.done();
    await settle();
    b.clock.advance(10_000);
    await settle();
    assert.equal(b.turns.length, 2);
  });

  it('works again when reconcile asks for it, at the sooner of two times', async () => {
    const b = bed();
    b.queue.add('a');
    await settle();
    b.turns[0]?.done(500);
    await settle();
    b.queue.addAfter('a', 9_000);
    b.clock.advance(500);
    await settle();
    assert.equal(b.turns.length, 2);
    b.queue.addAfter('b', 700);
    b.queue.addAfter('b', 300);
    b.turns[1]?.done();
    b.clock.advance(300);
    await settle();
    assert.deepEqual(b.keys(), ['a', 'a', 'b']);
    b.turns[2]?.done();
    b.clock.advance(10_000);
    await settle();
    assert.equal(b.turns.length, 3);
  });

  it('forgets a key with its retries', async () => {
    const b = bed();
    b.queue.add('a');
    await settle();
    b.turns[0]?.fail();
    await settle();
    b.queue.forget('a');
    b.clock.advance(10_000);
    await settle();
    assert.equal(b.turns.length, 1);
    assert.equal(b.queue.size, 0);
  });

  it('refuses keys beyond its limit, but no known one', async () => {
    const registry = createRegistry();
    const b = bed({ keysMax: 2, metrics: createKubeMetrics(registry) });
    assert.deepEqual(
      ['a', 'b', 'c', 'a', 'b'].map((key) => b.queue.add(key)),
      [true, true, false, true, true],
    );
    await settle();
    const text = await registry.metrics();
    assert.match(text, /ambit_kube_queue_refused_total\{queue="test"\} 1/);
    assert.match(text, /ambit_kube_queue_keys\{queue="test"\} 1/);
  });

  it('drains: takes no more, finishes what is due, leaves out the delayed', async () => {
    const b = bed();
    b.queue.add('a');
    b.queue.add('b');
    b.queue.addAfter('late', 10);
    await settle();
    let isDrained = false;
    const drained = b.queue.drain().then(() => {
      isDrained = true;
    });
    assert.equal(b.queue.add('c'), false);
    b.turns[0]?.fail();
    await settle();
    assert.equal(isDrained, false);
    b.turns[1]?.done();
    await drained;
    b.clock.advance(100_000);
    await settle();
    assert.deepEqual(b.keys(), ['a', 'b']);
  });

  it('stops: aborts what is under way and begins nothing more', async () => {
    const b = bed();
    b.queue.add('a');
    b.queue.add('b');
    await settle();
    const stopped = b.queue.stop();
    assert.equal(b.turns[0]?.signal.aborted, true);
    b.turns[0]?.fail();
    await stopped;
    await settle();
    assert.deepEqual(b.keys(), ['a']);
  });

  it('is drained when it was never begun', async () => {
    const reconcile = () => Promise.resolve(undefined);
    const queue = new WorkQueue({ name: 'test', clock: new FakeClock(), reconcile });
    queue.add('a');
    await queue.drain();
    assert.equal(queue.depth, 0);
  });
});
