/**
 * What the container may use of its machine: processors and memory, from its control group (version 1 or 2).
 *
 * Rule: the smallest bound on the way up to what is visible of the hierarchy counts. What cannot be read is no bound.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Absent: not limited. */
export interface ContainerLimits {
  /** A share of time: 1.5 is one and a half processors. */
  readonly cpus?: number;
  readonly memoryBytes?: number;
}

/** `root`: where the file system of the machine begins. */
export function readContainerLimits(root = '/'): ContainerLimits {
  const found = groupsOf(read(join(root, 'proc/self/cgroup')) ?? '').flatMap(({ names, path }) =>
    names.flatMap((name) => READERS[name]?.(join(root, 'sys/fs/cgroup'), path) ?? []),
  );
  const cpus = smallest(found.map((limits) => limits.cpus));
  const memoryBytes = smallest(found.map((limits) => limits.memoryBytes));
  return {
    ...(cpus !== undefined && { cpus }),
    ...(memoryBytes !== undefined && { memoryBytes }),
  };
}

/** Threads that such a share keeps busy: the next whole number, and one where there is no bound. At most `max`. */
export function workersFor({ cpus }: ContainerLimits, max: number): number {
  return cpus === undefined ? 1 : Math.min(max, Math.max(1, Math.ceil(cpus)));
}

/** Of the container's memory, for the heaps of all workers together. A fifth is the main thread's; the rest is for what lies outside of heaps. */
const WORKER_HEAPS_SHARE = 0.4;
/** With less a worker cannot hold a mesh, and ends again and again. */
const WORKER_HEAP_BYTES_MIN = 64 * 2 ** 20;

/** What the heap of each worker may take; undefined: as V8 sees fit. */
export function workerHeapBytes(
  { memoryBytes }: ContainerLimits,
  workers: number,
): number | undefined {
  return memoryBytes === undefined
    ? undefined
    : Math.max(WORKER_HEAP_BYTES_MIN, Math.floor((memoryBytes * WORKER_HEAPS_SHARE) / workers));
}

interface Group {
  /** Controllers of version 1; an empty one is version 2. */
  readonly names: readonly string[];
  readonly path: string;
}

/** cgroups(7), /proc/PID/cgroup: `hierarchy:controllers:path`. */
function groupsOf(text: string): readonly Group[] {
  return text.split('\n').flatMap((line) => {
    const [, names, ...path] = line.split(':');
    return names === undefined || path.length === 0
      ? []
      : [{ names: names.split(','), path: path.join(':') }];
  });
}

const READERS: Readonly<Record<string, (mount: string, path: string) => ContainerLimits[]>> = {
  '': (mount, path) =>
    // `unified` is where a machine with both versions has the second one.
    [mount, join(mount, 'unified')].flatMap((at) =>
      above(path).map((group) => {
        const [quota, period] = (read(join(at, group, 'cpu.max')) ?? '').trim().split(' ');
        const cpus = shareOf(quota, period);
        const memoryBytes = smallest([
          bytesOf(read(join(at, group, 'memory.max'))),
          bytesOf(read(join(at, group, 'memory.high'))),
        ]);
        return { ...(cpus && { cpus }), ...(memoryBytes && { memoryBytes }) };
      }),
    ),
  cpu: (mount, path) =>
    above(path).map((group) => {
      const file = (name: string) => read(join(mount, 'cpu', group, `cpu.cfs_${name}_us`));
      const cpus = shareOf(file('quota'), file('period'));
      return cpus === undefined ? {} : { cpus };
    }),
  memory: (mount, path) =>
    above(path).map((group) => {
      const memoryBytes = bytesOf(read(join(mount, 'memory', group, 'memory.limit_in_bytes')));
      return memoryBytes === undefined ? {} : { memoryBytes };
    }),
};

/** The group and those that it is in; a container often sees its own as the first of all. */
function above(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return Array.from({ length: parts.length + 1 }, (_, index) => parts.slice(0, index).join('/'));
}

/** Undefined for `max`, -1 and what is no number. */
function shareOf(quota: string | undefined, period: string | undefined): number | undefined {
  const share = Number(quota ?? Number.NaN) / Number(period ?? Number.NaN);
  return share > 0 && Number.isFinite(share) ? share : undefined;
}

/** Version 1 says "no bound" by the largest page-aligned number that it has. */
const UNLIMITED_BYTES = 2 ** 62;

function bytesOf(text: string | undefined): number | undefined {
  const bytes = Number(text?.trim() || Number.NaN);
  return bytes > 0 && bytes < UNLIMITED_BYTES ? bytes : undefined;
}

function smallest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Not there, or not for us: nothing is known of this bound.
    return undefined;
  }
}
