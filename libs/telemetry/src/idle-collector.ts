/**
 * Gives back what a thread has grown by, in its heap and in what that keeps outside, once the thread has nothing to do or the container's memory is nearly used.
 *
 * Rule: V8 collects when it needs room, so a thread without work keeps what its last burst left. A collection that gives all
 * pages back stops the thread for tens of milliseconds: it is made when nobody waits, and seldom.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '@ambit/core';

const LOOK_MS = 1_000;
/** Of the time between two looks, that a thread without work is busy at most: with timers and probes, hardly with a request. */
const IDLE_SHARE = 0.01;
/** So many looks in a row find no work. A few hundred requests a second are little work, and each waits for the collection. */
const QUIET_LOOKS = 3;
/** What is worth a collection. */
const GROWN_BYTES = 3 * 2 ** 20;
/** After a collection, how long until the next. */
const REST_MS = 10_000;
/** Of the memory limit: beyond, also a thread that has work collects. */
const PRESSURE_SHARE = 0.85;

export interface IdleCollectorOptions {
  readonly clock: Clock;
  /** What the container may use; undefined: there is no pressure. */
  readonly memoryLimitBytes: number | undefined;
  /** Called before a collection, to let go of what is kept for the next burst. */
  readonly onCollecting?: () => void;
  /** Called after a collection, to give back what is held outside of the heap. */
  readonly onCollected?: () => void;
  /** Tests only. */
  readonly probe?: HeapProbe;
}

export interface HeapProbe {
  /** Of the time since the last call. */
  busyShare(): number;
  /** The heap and what it keeps outside of it: a pool of buffers grows there alone. */
  memoryBytes(): number;
  residentBytes(): number;
  collect(): void;
}

export class IdleCollector {
  readonly #options: IdleCollectorOptions;
  readonly #probe: HeapProbe;
  readonly #stopped = new AbortController();
  /** The least since the last collection. */
  #settledBytes = 0;
  #collectedAt = Number.NEGATIVE_INFINITY;
  #quietLooks = 0;
  readonly counters = { idle: 0, pressure: 0 };

  constructor(options: IdleCollectorOptions) {
    this.#options = options;
    this.#probe = options.probe ?? threadProbe();
  }

  /** Looks until `stop`. */
  start(): void {
    this.#run().catch(() => undefined);
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      this.look();
    }
  }

  /** Once; `start` does it every second. */
  look(): void {
    const { clock, memoryLimitBytes = Number.POSITIVE_INFINITY } = this.#options;
    const { onCollecting, onCollected } = this.#options;
    this.#quietLooks = this.#probe.busyShare() < IDLE_SHARE ? this.#quietLooks + 1 : 0;
    const memoryBytes = this.#probe.memoryBytes();
    // What was in use at the last collection, and has gone since, may be garbage when it is there again.
    this.#settledBytes = Math.min(this.#settledBytes, memoryBytes);
    if (clock.now() - this.#collectedAt < REST_MS) {
      return;
    }
    if (memoryBytes - this.#settledBytes < GROWN_BYTES) {
      return;
    }
    if (this.#quietLooks >= QUIET_LOOKS) {
      this.counters.idle += 1;
    } else if (this.#probe.residentBytes() > memoryLimitBytes * PRESSURE_SHARE) {
      this.counters.pressure += 1;
    } else {
      return;
    }
    onCollecting?.();
    this.#probe.collect();
    this.#collectedAt = clock.now();
    this.#settledBytes = this.#probe.memoryBytes();
    onCollected?.();
  }
}

/** Of the thread that calls it. */
export function threadProbe(): HeapProbe {
  let before = performance.eventLoopUtilization();
  return {
    busyShare: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, before);
      before = now;
      return utilization;
    },
    memoryBytes: () => {
      const { total_physical_size, external_memory } = getHeapStatistics();
      return total_physical_size + external_memory;
    },
    residentBytes: () => process.memoryUsage.rss(),
    collect: collector(),
  };
}

/** V8's own, which it has for contexts that are made after the flag was set. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: object) => void;
  // As when memory is short: everything that can be is collected, and empty pages go back to the kernel.
  return () => collect({ type: 'major', flavor: 'last-resort' });
}
