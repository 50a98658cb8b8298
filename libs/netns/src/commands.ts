/**
 * Programs and files that act on a namespace: any command, `nft`, `ip`, sysctls.
 *
 * A child inherits the namespace of the thread that forks it, so the fork alone happens inside; waiting does not.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { errnoOf, NetnsError } from './errors.ts';
import { runInNetns } from './netns.ts';
import { Turns } from './turns.ts';
import type { Netns } from './types.ts';

/** People's PATH often lacks the sbin directories, where these two live. */
const TOOL_FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin'] as const;
/** nft and ip take milliseconds; one that hangs must not hold an enrolment for ever. */
const COMMAND_TIMEOUT_MS = 10_000;
const OUTPUT_BYTES_MAX = 1 << 20;
/**
 * How many `nft` and `ip` processes this process has at once, over all namespaces. Each costs milliseconds of a core and a
 * fork of this process; a node that enrols a hundred pods at once would start hundreds. The rest wait in the order in
 * which they came, so what is done to one namespace stays in order when its caller awaits each step.
 */
const TOOLS_MAX = 4;
const SYSCTL_NAME = /^net(?:\.[A-Za-z0-9_-]+)+$/;

const turns = new Turns(TOOLS_MAX);

/** `nft` and `ip` processes: at work, waiting for their turn, and started since this process began. */
export function toolCounters(): {
  readonly running: number;
  readonly waiting: number;
  readonly started: number;
} {
  return { running: turns.running, waiting: turns.waiting, started: turns.taken };
}

/** Starts a process inside; it and its children stay there. Otherwise as `child_process.spawn`. */
export function spawnInNetns(
  ns: Netns,
  command: string,
  args: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  return runInNetns(ns, () => spawn(command, [...args], options));
}

/** Applies a ruleset in one transaction. On failure nothing changed, and the error has nft's message and the text. */
export async function applyNft(ns: Netns, rules: string): Promise<void> {
  const result = await runTool(ns, 'nft', ['-f', '-'], rules);
  if (result.status !== 0) {
    throw new NetnsError(
      'NETNS_NFT_FAILED',
      `nft refused the rules (status ${result.status}): ${result.stderr.trim()}\n${rules}`,
    );
  }
}

/** What `nft ARGS` prints; for reading rules. */
export async function runNft(ns: Netns, args: readonly string[]): Promise<string> {
  return await runChecked(ns, 'nft', args);
}

/** What `ip ARGS` prints. Throws `NETNS_COMMAND_FAILED` with its message. */
export async function runIp(ns: Netns, args: readonly string[]): Promise<string> {
  return await runChecked(ns, 'ip', args);
}

/** Where sysctls are: a container's own `/proc/sys` is read-only. */
let procDir = '/proc';

/** Sysctls are written through another mount of proc, as a container has the node's; for the whole process. */
export function useProcDir(dir: string): void {
  procDir = dir;
}

/** Sets a `net.*` sysctl of the namespace, by its dotted name. */
export function writeSysctl(ns: Netns, name: string, value: string): void {
  sysctl(ns, name, (path) => {
    writeFileSync(path, value);
  });
}

export function readSysctl(ns: Netns, name: string): string {
  return sysctl(ns, name, (path) => readFileSync(path, 'utf8').trim());
}

function sysctl<T>(ns: Netns, name: string, access: (path: string) => T): T {
  if (!SYSCTL_NAME.test(name)) {
    throw new NetnsError('NETNS_SYSCTL_FAILED', `"${name.slice(0, 80)}" is not a net sysctl`);
  }
  try {
    return runInNetns(ns, () => access(`${procDir}/sys/${name.replaceAll('.', '/')}`));
  } catch (error) {
    throw new NetnsError('NETNS_SYSCTL_FAILED', `cannot access sysctl ${name}`, {
      errno: errnoOf(error),
      cause: error,
    });
  }
}

async function runChecked(ns: Netns, tool: string, args: readonly string[]): Promise<string> {
  const result = await runTool(ns, tool, args, '');
  if (result.status !== 0) {
    throw new NetnsError(
      'NETNS_COMMAND_FAILED',
      `${tool} ${args.join(' ')} (status ${result.status}): ${result.stderr.trim()}`,
    );
  }
  return result.stdout;
}

interface ToolResult {
  /** Null when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function runTool(
  ns: Netns,
  tool: string,
  args: readonly string[],
  input: string,
): Promise<ToolResult> {
  return await turns.run(async () => await startTool(ns, tool, args, input));
}

async function startTool(
  ns: Netns,
  tool: string,
  args: readonly string[],
  input: string,
): Promise<ToolResult> {
  const child = spawnInNetns(ns, toolPath(tool), args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: COMMAND_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const { promise, resolve, reject } = Promise.withResolvers<ToolResult>();
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      out[name] = (out[name] + text).slice(0, OUTPUT_BYTES_MAX);
    });
  }
  child.once('error', (error) => {
    reject(
      new NetnsError('NETNS_COMMAND_FAILED', `cannot run ${tool}`, {
        errno: errnoOf(error),
        cause: error,
      }),
    );
  });
  child.once('close', (status) => {
    resolve({ status, ...out });
  });
  // A tool that ends before it read everything answers by its status; EPIPE adds nothing.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return await promise;
}

function toolPath(tool: string): string {
  const folder = TOOL_FOLDERS.find((candidate) => existsSync(`${candidate}/${tool}`));
  return folder === undefined ? tool : `${folder}/${tool}`;
}
