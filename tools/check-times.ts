/**
 * What tests of tools/check.ts cost: how long each file takes, from the start of its process to its end, and how long of
 * that it computes. A file that takes long and computes little waits for something.
 */
import { readFileSync } from 'node:fs';

/** Of Linux, whatever the kernel's own. */
const TICKS_PER_SECOND = 100;
const SLOWEST = 10;

interface Cost {
  readonly name: string;
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** Counts the CPU time of processes that this one starts and that end one by one, and of theirs. */
let countedMs = 0;
const files: Cost[] = [];
const steps: Cost[] = [];

/** A child counts when it has ended, and with it all of its own that it waited for. */
function childrenCpuMs(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  // The name in parentheses may hold anything; cutime and cstime are the 14th and 15th fields after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[13]) + Number(fields[14])) * 1_000) / TICKS_PER_SECOND;
}

/** What has ended before is no test's. */
export function startCounting(): void {
  countedMs = childrenCpuMs();
}

/** To be called as soon as the process of a test file has ended: what came since the last call is its own. Returns that. */
export function countFile(name: string, wallMs: number): number {
  const cpuMs = childrenCpuMs() - countedMs;
  countedMs += cpuMs;
  files.push({ name, wallMs, cpuMs });
  return cpuMs;
}

export function countStep(name: string, cost: Omit<Cost, 'name'>): void {
  steps.push({ name, ...cost });
}

/** Steps, and the slowest files; nothing after a run of a few files. */
export function printTimes(): void {
  if (files.length <= SLOWEST) {
    return;
  }
  const slowest = files.toSorted((a, b) => b.wallMs - a.wallMs).slice(0, SLOWEST);
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1).padStart(7)} s`;
  console.log('\n     took  computed');
  for (const { name, wallMs, cpuMs } of [...steps, ...slowest]) {
    console.log(`${seconds(wallMs)} ${seconds(cpuMs)}  ${name}`);
  }
}
