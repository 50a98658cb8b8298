/**
 * `lab.json`: which process holds a lab. A record whose process is gone is what a crash left, and is cleaned up by
 * the next start; the kernel has already removed namespaces and processes.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { LabError } from './errors.ts';
import type { LabPaths } from './paths.ts';

export interface LabRecord {
  readonly name: string;
  readonly pid: number;
  /** Of /proc/PID/stat; tells a process from a later one with the same number. */
  readonly startTime: string;
  readonly folder: string;
  readonly nodes: readonly string[];
}

/** Undefined where there is no process of that number. */
export function processStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is in brackets and may hold anything; the start time is the 22nd.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    // No such process.
    return undefined;
  }
}

/** The record of a lab that runs; undefined if there is none or its process is gone. */
export function readLiveRecord(paths: LabPaths): LabRecord | undefined {
  let record: LabRecord;
  try {
    record = JSON.parse(readFileSync(paths.record, 'utf8')) as LabRecord;
  } catch {
    // Absent, or cut short by a crash while it was written.
    return undefined;
  }
  return isHeld(record) ? record : undefined;
}

/** Whether the process that wrote the record runs. */
export function isHeld({ pid, startTime }: LabRecord): boolean {
  return processStartTime(pid) === startTime;
}

/** Removes the folder, the record last: what a crash leaves in between is still known as a lab's. */
export function releaseFolder(paths: LabPaths): void {
  for (const name of readdirSync(paths.root)) {
    const path = join(paths.root, name);
    if (path !== paths.record) {
      rmSync(path, { recursive: true, force: true });
    }
  }
  rmSync(paths.root, { recursive: true, force: true });
}

/** Takes the folder for this process and empties it. Throws `LAB_ALREADY_RUNNING`. */
export function claimFolder(paths: LabPaths, record: Omit<LabRecord, 'pid' | 'startTime'>): void {
  const live = readLiveRecord(paths);
  if (live !== undefined) {
    throw new LabError(
      'LAB_ALREADY_RUNNING',
      `lab "${record.name}" is already running (pid ${live.pid}); stop it with: meshctl lab down --name ${record.name}`,
    );
  }
  refuseForeignFolder(paths);
  rmSync(paths.root, { recursive: true, force: true });
  mkdirSync(paths.root, { recursive: true, mode: 0o700 });
  const startTime = processStartTime(process.pid) ?? '';
  writeFileSync(paths.record, `${JSON.stringify({ ...record, pid: process.pid, startTime })}\n`);
  for (const folder of [
    paths.objects,
    paths.applied,
    paths.controller,
    paths.nodes,
    paths.waypoints,
    paths.tokens,
    paths.logs,
    paths.pods,
    paths.captures,
  ]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }
}

/** What is emptied must be what a lab made: its folder holds a record from its first moment on. */
function refuseForeignFolder({ root, record }: LabPaths): void {
  if (existsSync(root) && !existsSync(record) && readdirSync(root).length > 0) {
    throw new LabError(
      'LAB_INVALID_OPTION',
      `"${root}" is not the folder of a lab; choose another name`,
    );
  }
  const parent = dirname(root);
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(parent);
  // Root of a user namespace does not see the numbers of others; a folder that it cannot own is refused by mkdir.
  const isSticky = (mode & 0o1000) !== 0;
  if (uid !== process.getuid?.() || ((mode & 0o022) !== 0 && !isSticky)) {
    throw new LabError(
      'LAB_INVALID_OPTION',
      `others can write to "${parent}"; set AMBIT_LAB_ROOT to a folder of yours`,
    );
  }
}
