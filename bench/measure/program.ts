/**
 * A program in a network namespace, for one sample or a whole run. Rule: none outlives this process, however it ends
 * (PR_SET_PDEATHSIG), and each is ended by its own pid.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@ambit/core';
import { type Netns, runInNetns, spawnInNetns } from '@ambit/netns';

const TOOL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const GRACE_MS = 2_000;
const POLL_MS = 20;
const OUTPUT_CHARS_MAX = 4 * 1024 * 1024;
const LISTEN_STATE = '0A';

export class Program implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #isOver = false;
  #output = '';

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child;
    this.pid = pid;
    const { promise, resolve } = Promise.withResolvers<number | null>();
    child.once('close', (code) => {
      this.#isOver = true;
      resolve(code);
    });
    this.#ended = promise;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARS_MAX);
      });
    }
  }

  /** Throws when the program cannot be started at all. */
  static start(netns: Netns, argv: readonly string[]): Program {
    // setpriv becomes the program, so the child's pid is the program's own.
    const child = spawnInNetns(netns, 'setpriv', ['--pdeathsig', 'KILL', '--', ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: TOOL_PATH, HOME: '/tmp' },
    });
    // Without it, a program that cannot be started would end this process before the throw is seen.
    child.on('error', () => undefined);
    if (child.pid === undefined) {
      throw new Error(`cannot start ${argv[0]}`);
    }
    return new Program(child, child.pid);
  }

  get output(): string {
    return this.#output;
  }

  /** Until it ended or `timeoutMs` passed, which is an error as any exit code but 0 is. */
  async finish(timeoutMs: number): Promise<string> {
    const timer = new AbortController();
    const late = systemClock.sleep(timeoutMs, timer.signal).then(
      () => 'late' as const,
      () => 'late' as const,
    );
    const code = await Promise.race([this.#ended, late]);
    timer.abort();
    if (code === 'late') {
      await this.stop();
      throw new Error(`still running after ${timeoutMs} ms: ${this.#output.slice(-500)}`);
    }
    if (code !== 0) {
      throw new Error(`ended with ${code}: ${this.#output.slice(-2_000)}`);
    }
    return this.#output;
  }

  /** Until its output has the text. Throws when it ends first or takes longer. */
  async waitForOutput(text: string, timeoutMs: number): Promise<void> {
    await this.#poll(() => this.#output.includes(text), `"${text}"`, timeoutMs);
  }

  /** Until every port is listened on in the namespace. */
  async waitForPorts(netns: Netns, ports: readonly number[], timeoutMs: number): Promise<void> {
    const isUp = (): boolean => {
      const open = listeningPorts(netns);
      return ports.every((port) => open.has(port));
    };
    await this.#poll(isUp, `ports ${ports.join(', ')}`, timeoutMs);
  }

  /** SIGTERM, then SIGKILL. Idempotent. */
  async stop(): Promise<void> {
    if (this.#isOver) {
      return;
    }
    this.#child.kill('SIGTERM');
    const timer = new AbortController();
    const grace = systemClock.sleep(GRACE_MS, timer.signal).catch(() => undefined);
    await Promise.race([this.#ended, grace]);
    timer.abort();
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #poll(isDone: () => boolean, what: string, timeoutMs: number): Promise<void> {
    const deadline = systemClock.now() + timeoutMs;
    while (!isDone()) {
      if (this.#isOver || systemClock.now() > deadline) {
        throw new Error(`no ${what}: ${this.#output.slice(-2_000)}`);
      }
      await systemClock.sleep(POLL_MS);
    }
  }
}

/** TCP ports with a listener in the namespace, of both families. */
export function listeningPorts(netns: Netns): Set<number> {
  // /proc/self would be the main thread's view whatever thread asks; the same one here, but the truth is per thread.
  const text = runInNetns(netns, () =>
    ['tcp', 'tcp6'].map((name) => readFileSync(`/proc/thread-self/net/${name}`, 'utf8')).join(''),
  );
  return parseListeningPorts(text);
}

/** Of /proc/net/tcp and tcp6. Lines that are none are skipped. */
export function parseListeningPorts(text: string): Set<number> {
  const lines = text.matchAll(
    /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /gm,
  );
  return new Set(
    [...lines]
      .filter((match) => match[2] === LISTEN_STATE)
      .map((match) => Number.parseInt(match[1] ?? '', 16)),
  );
}

/** A folder for configurations and certificates, removed with the run. */
export function temporaryFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'ambit-bench-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
