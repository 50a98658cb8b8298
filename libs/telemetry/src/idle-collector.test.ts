import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { IdleCollector, threadProbe } from './idle-collector.ts';

const MIB = 2 ** 20;
const LIMIT = 500 * MIB;

function rig() {
  const clock = new FakeClock();
  const at = {
    busy: 0,
    heap: 30 * MIB,
    outside: 0,
    resident: 100 * MIB,
    collected: 0,
    told: 0,
    lettingGo: 0,
  };
  const collector = new IdleCollector({
    clock,
    memoryLimitBytes: LIMIT,
    onCollecting: () => {
      assert.equal(at.lettingGo, at.collected);
      at.lettingGo += 1;
    },
    onCollected: () => {
      at.told += 1;
    },
    probe: {
      busyShare: () => at.busy,
      memoryBytes: () => at.heap + at.outside,
      residentBytes: () => at.resident,
      collect: () => {
        at.collected += 1;
        at.heap = 20 * MIB;
      },
    },
  });
  /** As often as a thread without work is looked at before it is believed. */
  const lookQuietly = (): void => {
    for (let looks = 0; looks < 3; looks += 1) {
      collector.look();
    }
  };
  return { clock, at, collector, lookQuietly };
}

describe('IdleCollector', () => {
  it('collects once what a burst has left, lets go of more before, and tells', () => {
    const { clock, at, collector, lookQuietly } = rig();
    lookQuietly();
    clock.advance(60_000);
    collector.look();
    assert.deepEqual([at.lettingGo, at.collected, at.told], [1, 1, 1]);
    at.heap = 40 * MIB;
    collector.look();
    assert.equal(at.collected, 2);
    assert.deepEqual(collector.counters, { idle: 2, pressure: 0 });
  });

  for (const busy of [0.5, 0.02]) {
    it(`leaves a thread alone that has work for ${busy * 100} % of its time`, () => {
      const { at, lookQuietly } = rig();
      at.busy = busy;
      lookQuietly();
      assert.equal(at.collected, 0);
    });
  }

  it('leaves a thread alone that has had work a moment ago', () => {
    const { at, collector } = rig();
    for (const busy of [0, 0, 0.02, 0, 0]) {
      at.busy = busy;
      collector.look();
    }
    assert.equal(at.collected, 0);
    at.busy = 0;
    collector.look();
    assert.equal(at.collected, 1);
  });

  it('leaves a heap alone that has hardly grown', () => {
    const { clock, at, collector, lookQuietly } = rig();
    lookQuietly();
    clock.advance(60_000);
    at.heap += 2 * MIB;
    collector.look();
    assert.equal(at.collected, 1);
  });

  it('rests between two collections, also where bursts come every second', () => {
    const { clock, at, collector } = rig();
    for (let second = 0; second < 20; second += 1) {
      at.heap = 40 * MIB;
      collector.look();
      clock.advance(1_000);
    }
    assert.equal(at.collected, 2);
  });

  it('collects in spite of work when the container is nearly full', () => {
    const { at, collector } = rig();
    at.busy = 1;
    at.resident = 0.8 * LIMIT;
    collector.look();
    assert.equal(at.collected, 0);
    at.resident = 0.9 * LIMIT;
    collector.look();
    assert.deepEqual(collector.counters, { idle: 0, pressure: 1 });
  });

  it('counts what is kept outside of the heap, with work and without', () => {
    for (const [busy, resident] of [
      [0, 0.1],
      [1, 0.9],
    ] as const) {
      const { clock, at, lookQuietly } = rig();
      lookQuietly();
      clock.advance(60_000);
      const before = at.collected;
      Object.assign(at, { busy, resident: resident * LIMIT });
      lookQuietly();
      assert.equal(at.collected, before);
      at.outside = 4 * MIB;
      lookQuietly();
      assert.equal(at.collected, before + 1);
    }
  });

  it('takes no longer for settled what was in use then and has gone since', () => {
    const { clock, at, lookQuietly } = rig();
    at.outside = 100 * MIB;
    lookQuietly();
    clock.advance(60_000);
    at.outside = 0;
    lookQuietly();
    assert.equal(at.collected, 1);
    at.outside = 50 * MIB;
    lookQuietly();
    assert.equal(at.collected, 2);
  });

  it('has V8 give pages back', () => {
    const probe = threadProbe();
    let held: object[] | undefined = Array.from({ length: 200_000 }, (_, index) => ({ index }));
    const full = probe.memoryBytes();
    assert.equal(held.length, 200_000);
    held = undefined;
    probe.collect();
    assert.ok(probe.memoryBytes() < full - 4 * MIB, `${full} ${probe.memoryBytes()}`);
    assert.ok(probe.busyShare() <= 1 && probe.residentBytes() > probe.memoryBytes());
  });

  it('looks every second until it is stopped', async () => {
    const { clock, at, collector } = rig();
    collector.start();
    for (let second = 0; second < 3; second += 1) {
      assert.equal(at.collected, 0);
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(at.collected, 1);
    collector.stop();
    at.heap = 90 * MIB;
    clock.advance(60_000);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(at.collected, 1);
  });
});
