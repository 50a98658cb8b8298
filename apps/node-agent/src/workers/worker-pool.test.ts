import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { silentLogger } from '@ambit/telemetry';
import type { CapturedPod, FromWorker, ToWorker } from '../worker/messages.ts';
import { type ResourceChange, WorkerPool } from './worker-pool.ts';
import type { WorkerEvents } from './worker-port.ts';
import { ENDING_MS, SILENCE_MS } from './worker-slot.ts';

const NOTHING: ResourceChange = {
  addresses: { changed: [], removed: [] },
  authorizations: { changed: [], removed: [] },
};
const podFor = (uid: string, index: number): CapturedPod => ({
  uid,
  name: uid,
  namespace: 'shop',
  serviceAccount: 'default',
  ips: ['10.0.0.1'],
  netnsPath: '/x',
  listeners: { outbound: index, inbound: index, hbone: index },
});

class FakeWorker {
  readonly heard: ToWorker[] = [];
  readonly index: number;
  readonly #events: WorkerEvents;
  isOver = false;

  constructor(index: number, events: WorkerEvents) {
    this.index = index;
    this.#events = events;
  }

  say(message: FromWorker): void {
    this.#events.onMessage(message);
  }

  throw(): void {
    this.#events.onFailing();
  }

  die(reason: string): void {
    if (!this.isOver) {
      this.isOver = true;
      this.#events.onExit(reason);
    }
  }

  kinds(): string {
    return this.heard.map(({ kind }) => kind).join(' ');
  }
}

function setUp(count: number, answers?: (worker: FakeWorker, message: ToWorker) => void) {
  const clock = new FakeClock();
  const workers: FakeWorker[] = [];
  const pool = new WorkerPool({
    count,
    clock,
    log: silentLogger(),
    spawn: (index, events) => {
      const worker = new FakeWorker(index, events);
      workers.push(worker);
      queueMicrotask(() => {
        worker.say({ kind: 'ready' });
      });
      return {
        name: `worker-${index}`,
        heapSnapshot: () => Promise.resolve(Readable.from([`${workers.indexOf(worker)}`])),
        post: (message) => {
          worker.heard.push(message);
          answers?.(worker, message);
        },
        terminate: () => {
          worker.die('terminated');
        },
      };
    },
    state: {
      resources: () => NOTHING,
      certificates: () => [
        { kind: 'certificate-unavailable', identity: 'spiffe://a', reason: 'r' },
      ],
    },
  });
  const latest = (index: number): FakeWorker => {
    const found = workers.filter((worker) => worker.index === index).at(-1);
    assert.ok(found);
    return found;
  };
  return { clock, pool, workers, latest };
}

/** A worker that does what it is told. */
const obey = (worker: FakeWorker, message: ToWorker): void => {
  queueMicrotask(() => {
    switch (message.kind) {
      case 'resources':
        worker.say({ kind: 'applied', sequence: message.sequence, errors: [] });
        break;
      case 'pod-added':
        worker.say({ kind: 'pod-started', uid: message.pod.uid });
        break;
      case 'report':
        worker.say({ kind: 'report', id: message.id, value: `worker ${worker.index}` });
        break;
      case 'drain':
        worker.say({ kind: 'drained', cutOff: [`of ${worker.index}`] });
        break;
      case 'certificate':
      case 'revocations':
      case 'certificate-unavailable':
      case 'certificate-forgotten':
      case 'pod-removed':
        break;
    }
  });
};

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await Promise.resolve();
  }
}

async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await settle();
  return done;
}

describe('WorkerPool', () => {
  it('tells a new worker everything', async () => {
    const { pool, latest } = setUp(2, obey);
    await pool.start();
    assert.equal(latest(0).kinds(), 'resources certificate-unavailable');
    pool.stop();
  });

  it('has applied a change when every worker has', async () => {
    const { pool, latest } = setUp(2);
    await pool.start();
    const applied = pool.applyResources(NOTHING);
    latest(0).say({ kind: 'applied', sequence: 1, errors: ['a'] });
    latest(1).say({ kind: 'applied', sequence: 0, errors: ['old'] });
    assert.equal(await isDone(applied), false);
    latest(1).say({ kind: 'applied', sequence: 1, errors: ['a', 'b'] });
    assert.deepEqual(await applied, ['a', 'b']);
    pool.stop();
  });

  it('takes the word of a replacement, which was told the same and more', async () => {
    const { pool, clock, latest } = setUp(1);
    await pool.start();
    const applied = pool.applyResources(NOTHING);
    latest(0).die('crash');
    assert.equal(await isDone(applied), false);
    clock.advance(1000);
    await settle();
    assert.equal(latest(0).kinds(), 'resources certificate-unavailable');
    latest(0).say({ kind: 'applied', sequence: 1, errors: [] });
    assert.deepEqual(await applied, []);
    assert.equal(pool.replacements, 1);
    pool.stop();
  });

  it('gives the heaps of the threads that live now', async () => {
    const { pool, clock, latest } = setUp(2);
    await pool.start();
    assert.deepEqual([...pool.heaps.keys()], ['worker-0', 'worker-1']);
    latest(0).die('crash');
    assert.deepEqual([...pool.heaps.keys()], ['worker-1']);
    clock.advance(1000);
    await settle();
    const take = pool.heaps.get('worker-0');
    assert.ok(take !== undefined);
    assert.equal(await text(await take()), '2', 'of the replacement');
    pool.stop();
  });

  it('replaces a worker that is silent', async () => {
    const { pool, clock, workers, latest } = setUp(1);
    await pool.start();
    const applied = pool.applyResources(NOTHING);
    clock.advance(SILENCE_MS - 1);
    await settle();
    assert.equal(workers.length, 1);
    clock.advance(1);
    await settle();
    assert.ok(workers[0]?.isOver);
    clock.advance(1000);
    await settle();
    assert.equal(workers.length, 2);
    latest(0).say({ kind: 'applied', sequence: 1, errors: [] });
    await applied;
    pool.stop();
  });

  it('leaves a worker behind that threw and does not end', async () => {
    const { pool, clock, workers, latest } = setUp(1, obey);
    await pool.start();
    latest(0).throw();
    clock.advance(ENDING_MS - 1);
    await settle();
    assert.equal(pool.leftBehind, 0);
    clock.advance(1);
    await settle();
    clock.advance(1000);
    await settle();
    assert.deepEqual([workers.length, pool.leftBehind, pool.replacements], [2, 1, 1]);
    workers[0]?.say({ kind: 'applied', sequence: 99, errors: [] });
    workers[0]?.die('at last');
    await settle();
    clock.advance(60_000);
    await settle();
    assert.equal(workers.length, 2, 'the late end of the old one changes nothing');
    pool.stop();
  });

  it('waits longer each time a worker dies young', async () => {
    const { pool, clock, workers, latest } = setUp(1);
    await pool.start();
    for (const waitMs of [120, 240, 480]) {
      latest(0).die('crash');
      await settle();
      const before = workers.length;
      clock.advance(waitMs / 2);
      await settle();
      assert.equal(workers.length, before, `replaced before ${waitMs} ms`);
      clock.advance(waitMs / 2);
      await settle();
      assert.equal(workers.length, before + 1, `not replaced after ${waitMs} ms`);
    }
    pool.stop();
  });

  it('starts a pod on every worker with listeners of its own, and on replacements', async () => {
    const { pool, clock, latest } = setUp(2, obey);
    await pool.start();
    await pool.addPod('p', (index) => podFor('p', index));
    const listeners = (index: number) =>
      latest(index).heard.flatMap((message) =>
        message.kind === 'pod-added' ? [message.pod.listeners.outbound] : [],
      );
    assert.deepEqual([listeners(0), listeners(1)], [[0], [1]]);
    latest(1).die('crash');
    await settle();
    clock.advance(1000);
    await settle();
    assert.deepEqual(listeners(1), [1]);
    pool.removePod('p', 'release');
    latest(1).die('crash');
    await settle();
    clock.advance(1000);
    await settle();
    assert.deepEqual(listeners(1), []);
    pool.stop();
  });

  it('takes a pod back from all when one cannot serve it', async () => {
    const { pool, latest } = setUp(2);
    await pool.start();
    const added = pool.addPod('p', (index) => podFor('p', index));
    latest(0).say({ kind: 'pod-started', uid: 'p' });
    latest(1).say({ kind: 'pod-started', uid: 'p', error: 'no such namespace' });
    await assert.rejects(added, { code: 'AGENT_WORKER_FAILED', message: /no such namespace/ });
    for (const index of [0, 1]) {
      assert.match(latest(index).kinds(), /pod-added pod-removed$/);
    }
    pool.stop();
  });

  it('collects what workers report, without those that do not', async () => {
    const { pool, clock, latest } = setUp(3, (worker, message) => {
      if (worker.index !== 1) {
        obey(worker, message);
      }
    });
    await pool.start();
    latest(2).die('crash');
    const reports = pool.report('metrics');
    await settle();
    clock.advance(5_000);
    assert.deepEqual(await reports, ['worker 0']);
    assert.ok(!latest(1).isOver, 'a report is no reason to end a worker');
    pool.stop();
  });

  it('drains all, and ends waiting for one that overruns', async () => {
    const { pool, clock } = setUp(2, (worker, message) => {
      if (worker.index === 0) {
        obey(worker, message);
      }
    });
    await pool.start();
    const drained = pool.drain(1_000);
    await settle();
    clock.advance(6_000);
    assert.deepEqual(await drained, ['of 0', 'worker']);
    pool.stop();
  });

  it('lets nobody wait when it stops', async () => {
    const { pool } = setUp(1);
    await pool.start();
    const applied = pool.applyResources(NOTHING);
    const settled = pool.settle();
    pool.stop();
    await assert.rejects(applied, { code: 'AGENT_STOPPED' });
    await settled;
  });
});
