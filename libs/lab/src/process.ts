/**
 * Processes of the lab. Rule: none outlives the supervisor, however that ends. The kernel kills each with its
 * parent (PR_SET_PDEATHSIG), and a container's whole process tree with the first process of its pid namespace.
 */
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Clock } from '@ambit/core';
import { type Netns, spawnInNetns } from '@ambit/netns';
import { TOOL_PATH } from './tool-path.ts';

export interface BindMount {
  readonly from: string;
  readonly to: string;
}

export interface ProcessOptions {
  readonly netns: Netns;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** In a mount namespace of its own: what the process sees in place of the machine's file. */
  readonly mounts: readonly BindMount[];
  /** Of a pid namespace of its own, whose other processes die with it. */
  readonly ownsPids: boolean;
  /** In a UTS namespace of its own. */
  readonly hostname?: string;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set when it could not be started at all. */
  readonly error?: string;
}

export interface LabProcess {
  readonly child: ChildProcess;
  /** Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** To the program itself, not to the shells around it. False if there is none to send it to. */
  signal(name: NodeJS.Signals): boolean;
  /** SIGTERM, then SIGKILL after `graceMs`. */
  stop(clock: Clock, graceMs: number): Promise<ProcessEnd>;
}

/** The command line that `options` become; `meshctl lab exec` runs the same one by way of nsenter. */
export function commandLine(options: Omit<ProcessOptions, 'netns' | 'cwd' | 'env'>): string[] {
  const mounts = options.mounts.map((_, i) => `mount --bind "$${2 * i + 2}" "$${2 * i + 3}"`);
  const script = [
    'set -e',
    // Not by /proc/sys, which stays the machine's own in a user namespace. A pod can do without.
    'if [ -n "$1" ]; then hostname "$1" 2>/dev/null || true; fi',
    ...mounts,
    `shift ${2 * mounts.length + 1}`,
    // Not as the first process of the pid namespace, which ignores the signals that it does not catch.
    options.ownsPids ? '"$@"\nexit $?' : 'exec "$@"',
  ].join('\n');
  return [
    'unshare',
    '--mount',
    ...(options.hostname === undefined ? [] : ['--uts']),
    ...(options.ownsPids ? ['--pid', '--fork', '--kill-child'] : []),
    '--',
    '/bin/sh',
    '-c',
    script,
    'sh',
    options.hostname ?? '',
    ...options.mounts.flatMap(({ from, to }) => [from, to]),
    ...options.argv,
  ];
}

/** Starts a process whose output is appended to `logFile`. */
export function startLogged(options: ProcessOptions, logFile: string): LabProcess {
  const log = openSync(logFile, 'a', 0o600);
  try {
    return startProcess(options, ['ignore', log, log]);
  } finally {
    closeSync(log);
  }
}

export function startProcess(options: ProcessOptions, stdio: StdioOptions): LabProcess {
  const argv = ['--pdeathsig', 'KILL', '--', ...commandLine(options)];
  const child = spawnInNetns(options.netns, 'setpriv', argv, {
    cwd: options.cwd,
    env: { PATH: TOOL_PATH, ...options.env },
    stdio,
  });
  const { promise: ended, resolve } = Promise.withResolvers<ProcessEnd>();
  child.once('error', (error) => resolve({ code: null, signal: null, error: error.message }));
  child.once('exit', (code, signal) => resolve({ code, signal }));
  const process: LabProcess = {
    child,
    ended,
    signal: (name) => sendSignal(child, options.ownsPids, name),
    stop: async (clock, graceMs) => {
      if (process.signal('SIGTERM')) {
        const timer = new AbortController();
        await Promise.race([ended, clock.sleep(graceMs, timer.signal)]);
        timer.abort();
      }
      process.signal('SIGKILL');
      return await ended;
    },
  };
  return process;
}

function sendSignal(child: ChildProcess, ownsPids: boolean, name: NodeJS.Signals): boolean {
  const pid = programPid(child, ownsPids);
  if (pid !== undefined) {
    try {
      return process.kill(pid, name);
    } catch {
      // It ended in between; the parent below may still be there.
    }
  }
  return name === 'SIGKILL' && child.kill('SIGKILL');
}

/** With a pid namespace: the shell's child, whose parent is `unshare`. Undefined when it is not there (any more). */
function programPid(child: ChildProcess, ownsPids: boolean): number | undefined {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
    return undefined;
  }
  return ownsPids ? onlyChild(onlyChild(child.pid)) : child.pid;
}

function onlyChild(pid: number | undefined): number | undefined {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    const first = Number.parseInt(children, 10);
    return Number.isNaN(first) ? undefined : first;
  } catch {
    // Ended in between.
    return undefined;
  }
}
