/**
 * CPU time and memory of processes, as the kernel counts them: /proc/PID/stat holds all threads of a process.
 *
 * Rule: a tree of processes is summed over those that live now, so a worker that ended in between is missing. The
 * proxies that are measured keep theirs.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** USER_HZ, the unit of times in /proc; 100 on every architecture that Node runs on (proc(5)). */
const TICKS_PER_SECOND = 100;

export interface ProcessStat {
  readonly pid: number;
  readonly command: string;
  readonly parent: number;
  /** User and system time of all threads, without ended children. */
  readonly cpuMs: number;
}

/** Throws a RangeError for anything but the one line of /proc/PID/stat. */
export function parseProcessStat(text: string): ProcessStat {
  // The command may hold spaces and brackets, so the last bracket ends it (proc(5)).
  const match = /^(\d+) \((.*)\) (\S(?: \S+)+)\s*$/s.exec(text);
  const fields = match?.[3]?.split(' ') ?? [];
  const numbers = [match?.[1], fields[1], fields[11], fields[12]].map(Number);
  const [pid, parent, userTicks, systemTicks] = numbers;
  if (
    match === null ||
    pid === undefined ||
    parent === undefined ||
    userTicks === undefined ||
    systemTicks === undefined ||
    !numbers.every((number) => Number.isSafeInteger(number) && number >= 0)
  ) {
    throw new RangeError(`not a line of /proc/PID/stat: "${text.slice(0, 80)}"`);
  }
  const cpuMs = ((userTicks + systemTicks) * 1_000) / TICKS_PER_SECOND;
  return { pid, command: match[2] ?? '', parent, cpuMs };
}

/** Resident memory from /proc/PID/status, which is exact where `stat` is not. Throws for a process without one. */
export function parseResidentBytes(status: string): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) {
    throw new RangeError('no VmRSS in /proc/PID/status');
  }
  return Number(kilobytes) * 1024;
}

export interface Usage {
  readonly cpuMs: number;
  readonly residentBytes: number;
}

/** Of the processes and everything below them. Throws when one of `pids` is gone: its time would be lost. */
export function usageOf(pids: readonly number[]): Usage {
  let cpuMs = 0;
  let residentBytes = 0;
  for (const pid of pids.flatMap((root) => [root, ...descendantsOf(root)])) {
    cpuMs += parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8')).cpuMs;
    residentBytes += parseResidentBytes(readFileSync(`/proc/${pid}/status`, 'utf8'));
  }
  return { cpuMs, residentBytes };
}

export function descendantsOf(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
      .split(' ')
      .filter((text) => text.trim() !== '')
      .map(Number),
  );
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Processes whose command line has `part` and that live in the network namespace `dev:inode`. */
export function processesIn(netnsId: string, part: string): number[] {
  const inode = netnsId.split(':')[1];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const inside = readlinkSync(`/proc/${pid}/ns/net`) === `net:[${inode}]`;
        const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        // Only the program itself: a shell or `unshare` around it names the file too.
        return inside && argv[0]?.endsWith('/node') === true && argv.join(' ').includes(part);
      } catch {
        // It ended while we looked.
        return false;
      }
    });
}
