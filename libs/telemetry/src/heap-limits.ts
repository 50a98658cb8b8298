/**
 * What the heaps of a program's threads may take: how workers are held to it, and how people see it.
 *
 * Rule: a worker that needs more ends alone and is replaced; without a limit of its own it would take the whole program along.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import type { ResourceLimits } from 'node:worker_threads';
import { Gauge, type Registry } from 'prom-client';
import type { ContainerLimits } from './container-limits.ts';

const MIB = 2 ** 20;
/**
 * Room for new objects, of which three parts are one half-space. Most of what a worker makes lives for a turn of its loop; with half
 * of this a waypoint under load takes about a tenth more time, with twice as much no less. V8's own choice for a large machine (96)
 * stays resident after the first burst.
 */
const YOUNG_MB = 24;
/** Of a small heap. */
const YOUNG_SHARE_MAX = 0.25;

export interface HeapLimits {
  readonly workers: number;
  readonly limits: ContainerLimits;
  readonly workerHeapBytes: number | undefined;
}

/** Of a thread whose heap may take so much; undefined: as V8 sees fit. Call before threads are made. */
export function workerResourceLimits(heapBytes: number | undefined): ResourceLimits {
  // V8 would place in the old space at once what it saw live for long in the first seconds, such as the lists of a request's
  // fields; each of those, dead or not, then keeps alive what it points to.
  setFlagsFromString('--no-allocation-site-pretenuring');
  if (heapBytes === undefined) {
    return { maxYoungGenerationSizeMb: YOUNG_MB };
  }
  // The flag that bounds the main thread's heap counts for it since its start, and would go before what is said here.
  setFlagsFromString('--max-old-space-size=0');
  const heapMb = Math.floor(heapBytes / MIB);
  const youngMb = Math.min(YOUNG_MB, Math.floor(heapMb * YOUNG_SHARE_MAX));
  return { maxYoungGenerationSizeMb: youngMb, maxOldGenerationSizeMb: heapMb - youngMb };
}

/** For the log line of a start. */
export function describeHeaps(heaps: HeapLimits): Readonly<Record<string, number | undefined>> {
  const { workers, limits } = heaps;
  return {
    workers,
    cpuLimit: limits.cpus,
    memoryLimitMb: toMb(limits.memoryBytes),
    mainHeapMb: toMb(getHeapStatistics().heap_size_limit),
    workerHeapMb: toMb(heaps.workerHeapBytes),
  };
}

export function registerHeapMetrics(registry: Registry, heaps: HeapLimits): void {
  const registers = [registry];
  const gauge = (name: string, help: string, value: number | undefined): void => {
    if (value !== undefined) {
      new Gauge({ name, help, registers }).set(value);
    }
  };
  const { workers, limits } = heaps;
  gauge('ambit_workers', 'Threads that carry bytes', workers);
  gauge('ambit_cpu_limit_cores', 'Processors that the container may use', limits.cpus);
  gauge('ambit_memory_limit_bytes', 'Memory that the container may use', limits.memoryBytes);
  const perThread = new Gauge({
    name: 'ambit_heap_limit_bytes',
    help: 'What the heap of the main thread, and of each worker, may take',
    labelNames: ['thread'],
    registers,
  });
  perThread.set({ thread: 'main' }, getHeapStatistics().heap_size_limit);
  if (heaps.workerHeapBytes !== undefined) {
    perThread.set({ thread: 'worker' }, heaps.workerHeapBytes);
  }
}

function toMb(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : Math.round(bytes / MIB);
}
