/**
 * `lab.json`: which process holds a lab. A record whose process is gone is what a crash left, and is cleaned up by
 * the next start; the kernel has already removed namespaces and processes.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  return processStartTime(record.pid) === record.startTime ? record : undefined;
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
  rmSync(paths.root, { recursive: true, force: true });
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
  const startTime = processStartTime(process.pid) ?? '';
  writeFileSync(paths.record, `${JSON.stringify({ ...record, pid: process.pid, startTime })}\n`);
}
