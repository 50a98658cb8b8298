import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { silentLogger } from '@ambit/telemetry';
import type { FromWorker, ToWorker } from '../proxy/messages.ts';
import { type Change, WorkerPool } from './worker-pool.ts';
import type { WorkerEvents } from './worker-port.ts';

class FakeWorker {
  readonly heard: ToWorker[] = [];
  readonly index: number;
  readonly #events: WorkerEvents;

  constructor(index: number, events: WorkerEvents) {
    this.index = index;
    this.#events = events;
  }

  say(message: FromWorker): void {
    this.#events.onMessage(message);
  }

  die(): void {
    this.#events.onExit('killed');
  }

  last(kind: ToWorker['kind']): ToWorker | undefined {
    return this.heard.findLast((message) => message.kind === kind);
  }
}

const atIndex = (index: number) => ({ host: '127.0.0.1', port: index });
const CHANGE: Change = { kind: 'objects', changed: [], removed: ['VirtualService/a/b'] };
const settle = async (): Promise<void> => {
  for (let round = 0; round < 30; round += 1) {
    await Promise.resolve();
  }
};

async function setUp(count: number) {
  const clock = new FakeClock();
  const workers: FakeWorker[] = [];
  const pool = new WorkerPool({
    count,
    clock,
    log: silentLogger(),
    spawn: (index, events) => {
      const worker = new FakeWorker(index, events);
      workers.push(worker);
      queueMicrotask(() => worker.say({ kind: 'ready' }));
      return {
        name: `worker-${index}`,
        post: (message) => void worker.heard.push(message),
        heapSnapshot: () => Promise.resolve(Readable.from([`${workers.indexOf(worker)}`])),
        terminate: () => worker.die(),
      };
    },
    state: () => [
      { kind: 'objects', changed: [], removed: [] },
      { kind: 'addresses', changed: [], removed: [] },
    ],
  });
  await pool.start();
  return { pool, clock, workers };
}

const sequenceOf = (worker: FakeWorker | undefined): number => {
  const message = worker?.last('objects');
  return message?.kind === 'objects' ? message.sequence : -1;
};

describe('WorkerPool', () => {
  it('tells a new worker everything, in order', async () => {
    const { pool, workers } = await setUp(2);
    for (const worker of workers) {
      assert.deepEqual(
        worker.heard.map(({ kind }) => kind),
        ['objects', 'addresses'],
      );
    }
    pool.stop();
  });

  it('has applied a change when every worker has, and unites what they refused', async () => {
    const { pool, workers } = await setUp(2);
    let rejected: unknown;
    const applied = pool.apply(CHANGE).then((value) => {
      rejected = value;
    });
    const sequence = sequenceOf(workers[0]);
    workers[0]?.say({ kind: 'applied', sequence, rejected: [{ key: 'a', error: 'x' }] });
    await settle();
    assert.equal(rejected, undefined);
    workers[1]?.say({ kind: 'applied', sequence, rejected: [{ key: 'b', error: 'y' }] });
    await applied;
    assert.deepEqual(rejected, [
      { key: 'a', error: 'x' },
      { key: 'b', error: 'y' },
    ]);
    pool.stop();
  });

  it('replaces a worker that dies, and takes the word of its replacement', async () => {
    const { pool, clock, workers } = await setUp(1);
    const applied = pool.apply(CHANGE);
    workers[0]?.die();
    clock.advance(1_000);
    await settle();
    const [, second] = workers;
    const state = second?.last('addresses');
    assert.ok(state?.kind === 'addresses');
    second?.say({ kind: 'applied', sequence: state.sequence, rejected: [] });
    assert.deepEqual(await applied, []);
    assert.equal(pool.replacements, 1);
    pool.stop();
  });

  it('replaces a worker soon that had served for a while, however often one has died before', async () => {
    const { pool, clock, workers } = await setUp(1);
    for (let deaths = 1; deaths <= 10; deaths += 1) {
      clock.advance(30_001);
      await settle();
      workers.at(-1)?.die();
      // 100 ms, give or take a fifth.
      clock.advance(120);
      await settle();
      assert.equal(workers.length, deaths + 1);
    }
    pool.stop();
  });

  it('replaces one later each time that dies at its start', async () => {
    const { pool, clock, workers } = await setUp(1);
    for (const waitMs of [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]) {
      const before = workers.length;
      workers.at(-1)?.die();
      clock.advance(waitMs * 0.79);
      await settle();
      assert.equal(workers.length, before, `${waitMs} ms`);
      clock.advance(waitMs * 0.42);
      await settle();
      assert.equal(workers.length, before + 1, `${waitMs} ms`);
    }
    pool.stop();
  });

  it('tells everybody that the end is near, also a replacement, before it serves', async () => {
    const { pool, clock, workers } = await setUp(2);
    const serving = pool.serve(atIndex);
    for (const worker of workers) {
      worker.say({ kind: 'serving', port: 1 });
    }
    await serving;
    pool.leave();
    workers[1]?.die();
    clock.advance(1_000);
    await settle();
    assert.deepEqual(
      workers.map(({ heard }) => heard.map(({ kind }) => kind)),
      [
        ['objects', 'addresses', 'serve', 'leave'],
        ['objects', 'addresses', 'serve', 'leave'],
        ['objects', 'addresses', 'leave', 'serve'],
      ],
    );
    pool.stop();
  });

  it('replaces a worker that is silent', async () => {
    const { pool, clock, workers } = await setUp(1);
    const applied = pool.apply(CHANGE);
    clock.advance(15_000);
    await settle();
    clock.advance(1_000);
    await settle();
    assert.equal(workers.length, 2);
    workers[1]?.say({ kind: 'applied', sequence: 99, rejected: [] });
    await applied;
    pool.stop();
  });

  it('gives every worker its place to listen at, also a replacement, until the drain', async () => {
    const { pool, clock, workers } = await setUp(2);
    const places = () =>
      workers.map((worker) => {
        const message = worker.last('serve');
        return message?.kind === 'serve' ? message.at : undefined;
      });
    const serving = pool.serve(atIndex);
    for (const worker of workers) {
      worker.say({ kind: 'serving', port: 1 });
    }
    await serving;
    const die = async (index: number): Promise<void> => {
      workers[index]?.die();
      clock.advance(1_000);
      await settle();
    };
    await die(1);
    assert.deepEqual(places(), [0, 1, 1].map(atIndex));
    const drained = pool.drain(1_000);
    await die(2);
    assert.deepEqual(places(), [...[0, 1, 1].map(atIndex), undefined]);
    clock.advance(10_000);
    await drained;
    pool.stop();
  });

  it('replaces a worker that cannot be given a place to listen at', async () => {
    const { pool, clock, workers } = await setUp(1);
    let calls = 0;
    const serving = pool.serve((index) => {
      calls += 1;
      if (calls === 1) {
        throw new Error('too many open files');
      }
      return atIndex(index);
    });
    clock.advance(1_000);
    await settle();
    workers[1]?.say({ kind: 'serving', port: 1 });
    await serving;
    assert.equal(pool.replacements, 1);
    pool.stop();
  });

  it('says why a worker cannot listen', async () => {
    const { pool, workers } = await setUp(1);
    const serving = pool.serve(atIndex);
    workers[0]?.say({ kind: 'serving', port: 0, error: 'EADDRINUSE' });
    await assert.rejects(serving, { code: 'WAYPOINT_LISTEN', message: 'EADDRINUSE' });
    pool.stop();
  });

  it('collects reports and drains without those that do not answer', async () => {
    const { pool, clock, workers } = await setUp(2);
    const reports = pool.report('metrics');
    workers[0]?.say({ kind: 'report', id: 1, value: 'one' });
    clock.advance(5_000);
    assert.deepEqual(await reports, ['one']);
    const drained = pool.drain(1_000);
    workers[1]?.say({ kind: 'drained', cutOff: 3 });
    clock.advance(10_000);
    assert.equal(await drained, 3);
    pool.stop();
  });

  it('gives the heaps of the threads that live now', async () => {
    const { pool, clock, workers } = await setUp(2);
    assert.deepEqual([...pool.heaps.keys()], ['worker-0', 'worker-1']);
    workers[0]?.die();
    assert.deepEqual([...pool.heaps.keys()], ['worker-1']);
    clock.advance(1_000);
    await settle();
    const take = pool.heaps.get('worker-0');
    assert.ok(take !== undefined);
    assert.equal(await text(await take()), '2', 'of the replacement');
    pool.stop();
  });

  it('lets nobody wait when it stops', async () => {
    const { pool } = await setUp(1);
    const applied = pool.apply(CHANGE);
    pool.stop();
    await assert.rejects(applied, { code: 'WAYPOINT_STOPPED' });
  });
});
