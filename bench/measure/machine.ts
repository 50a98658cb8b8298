/** On what and under which conditions a number was measured; without it a number means nothing. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  /** Of cpufreq; `unknown` in a virtual machine that hides it. */
  readonly governor: string;
  readonly memoryBytes: number;
  readonly node: string;
  /** With `+` when the tree differs from the commit. */
  readonly commit: string;
  readonly loadAverage: readonly number[];
}

export function describeMachine(root: string): Machine {
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    governor: readOr('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'unknown'),
    memoryBytes: totalmem(),
    node: process.version,
    commit: commitOf(root),
    loadAverage: loadavg(),
  };
}

/** What every processor has spent since boot, in ticks. */
export interface CpuTimes {
  readonly total: number;
  readonly idle: number;
  readonly steal: number;
}

/** Reads the first line of /proc/stat. Throws a RangeError for anything else. */
export function parseCpuTimes(text: string): CpuTimes {
  const line = /^cpu +(\d+(?: \d+){7,9})$/m.exec(text)?.[1];
  if (line === undefined) {
    throw new RangeError(`no "cpu" line of /proc/stat in "${text.slice(0, 80)}"`);
  }
  // user nice system idle iowait irq softirq steal; guest times are part of user already (proc(5)).
  const ticks = line.split(' ').map(Number).slice(0, 8);
  return {
    total: ticks.reduce((sum, one) => sum + one, 0),
    idle: (ticks[3] ?? 0) + (ticks[4] ?? 0),
    steal: ticks[7] ?? 0,
  };
}

export interface Conditions {
  /** Share of all processor time that the hypervisor gave to others, 0 to 1. */
  readonly stealShare: number;
  /** Share in which some processor worked, generator and server included. */
  readonly busyShare: number;
  /** Over one minute, before the sample. */
  readonly loadAverage: number;
}

/** Starts to watch; the result tells what has been since. */
export function watchConditions(): () => Conditions {
  const before = readCpuTimes();
  const loadAverage = loadavg()[0] ?? 0;
  return () => {
    const after = readCpuTimes();
    const total = Math.max(1, after.total - before.total);
    return {
      stealShare: (after.steal - before.steal) / total,
      busyShare: 1 - (after.idle - before.idle) / total,
      loadAverage,
    };
  };
}

function readCpuTimes(): CpuTimes {
  return parseCpuTimes(readFileSync('/proc/stat', 'utf8'));
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return fallback;
  }
}

function commitOf(root: string): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'apps', 'libs');
    return `${git('rev-parse', '--short=10', 'HEAD')}${changed === '' ? '' : '+'}`;
  } catch {
    // A tree without its history, as in an archive.
    return 'unknown';
  }
}
