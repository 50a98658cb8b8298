/** The controller on an API server, as the chart starts it; and the agents that it serves. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { systemClock } from '@ambit/core';
import type { ApiCalls } from '../cluster/api-calls.ts';
import { parseResidentBytes, type Usage, usageOf } from '../measure/process-usage.ts';
import { SYSTEM, type World } from './controller-world.ts';
import type { HeldByAgents } from './held-state.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SERVING_MS_MAX = 120_000;
const ROOT_MS_MAX = 30_000;
const OUTPUT_CHARS_MAX = 200_000;

export class ControllerProcess implements AsyncDisposable {
  /** From the start of the process to its word that it serves. */
  readonly startMs: number;
  readonly address: string;
  readonly #child: ChildProcess;
  readonly #pid: number;

  private constructor(
    child: ChildProcess,
    made: { readonly pid: number; readonly startMs: number; readonly port: number },
  ) {
    this.#child = child;
    this.#pid = made.pid;
    this.startMs = made.startMs;
    this.address = `127.0.0.1:${made.port}`;
  }

  /** `main`: the program's file. `nodeArguments`: such as `--cpu-prof`. */
  static async start(options: {
    readonly main: string;
    readonly kubeconfigPath: string;
    readonly folder: string;
    readonly nodeArguments?: readonly string[];
  }): Promise<ControllerProcess> {
    const { main, kubeconfigPath, folder, nodeArguments = [] } = options;
    const stateDir = join(folder, 'state');
    mkdirSync(stateDir, { recursive: true });
    const begun = performance.now();
    const child = spawn(process.execPath, [...nodeArguments, main], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: folder,
      env: {
        PATH: process.env['PATH'] ?? '',
        ...addresses(stateDir),
        AMBIT_CONFIG_SOURCE: 'kubernetes',
        AMBIT_KUBECONFIG: kubeconfigPath,
        POD_NAME: 'ambit-controller-0',
        POD_NAMESPACE: SYSTEM,
        AMBIT_PODS_WAIT_FOR_AGENT: 'true',
        AMBIT_WAYPOINT_IMAGE: 'ambit/waypoint:bench',
      },
    });
    const port = await servingPort(child);
    const pid = child.pid ?? 0;
    return new ControllerProcess(child, { pid, startMs: performance.now() - begun, port });
  }

  usage(): Usage {
    return usageOf([this.#pid]);
  }

  /** The most that was resident. */
  peakBytes(): number {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
    return parseResidentBytes(status.replace(/^VmRSS:.*$/m, '').replace('VmHWM:', 'VmRSS:'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}

function addresses(stateDir: string): Readonly<Record<string, string>> {
  return {
    AMBIT_STATE_DIR: stateDir,
    AMBIT_XDS_ADDRESS: '127.0.0.1:0',
    AMBIT_METRICS_ADDRESS: '127.0.0.1:0',
    AMBIT_STATUS_ADDRESS: '127.0.0.1:0',
    AMBIT_ADMIN_ADDRESS: '127.0.0.1:0',
    AMBIT_WEBHOOK_ADDRESS: '127.0.0.1:0',
  };
}

async function servingPort(child: ChildProcess): Promise<number> {
  const serving = Promise.withResolvers<number>();
  let output = '';
  const keep = (text: string): void => {
    output = (output + text).slice(-OUTPUT_CHARS_MAX);
  };
  child.stderr?.setEncoding('utf8').on('data', keep);
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      keep(`${line}\n`);
      const entry = JSON.parse(line) as { readonly message: string; readonly port?: number };
      if (entry.message === 'serving') serving.resolve(entry.port ?? 0);
    });
  }
  child.once('exit', (code) => serving.reject(new Error(`the controller ended with ${code}`)));
  const done = new AbortController();
  const late = systemClock.sleep(SERVING_MS_MAX, done.signal).then(
    () => serving.reject(new Error(`the controller does not serve after ${SERVING_MS_MAX} ms`)),
    () => undefined, // it served or ended before
  );
  try {
    return await serving.promise;
  } catch (error) {
    await end(child);
    throw new Error(output.slice(-2_000), { cause: error });
  } finally {
    done.abort();
    await late;
  }
}

/** All agents hold this state of a name, since then, in nanoseconds. */
export type OnAnswered = (name: string, state: string, atNs: bigint) => void;

type Said = HeldByAgents | { readonly name: string; readonly state: string; readonly at: string };

export class Agents implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #onAnswered: OnAnswered;
  readonly #asked: PromiseWithResolvers<HeldByAgents>[] = [];

  private constructor(
    child: ChildProcessByStdio<Writable, Readable, null>,
    onAnswered: OnAnswered,
  ) {
    this.#child = child;
    this.#onAnswered = onAnswered;
  }

  /** Resolves when all have everything. */
  static async start(
    { api, world, folder }: { api: ApiCalls; world: World; folder: string },
    options: { readonly count: number; readonly address: string; readonly onAnswered: OnAnswered },
  ): Promise<Agents> {
    const rootFile = join(folder, 'root-cert.pem');
    writeFileSync(rootFile, await rootCertificate(api));
    const identities: { node: string; pod: string; token: string }[] = [];
    for (let node = 0; node < options.count; node += 1) {
      identities.push({ node: `node-${node}`, ...(await world.agentToken(node)) });
    }
    const program = join(ROOT, 'bench', 'programs', 'xds-agents.ts');
    const child = spawn(process.execPath, [program, options.address, rootFile], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const started = new Agents(child, options.onAnswered);
    await started.#sync(JSON.stringify(identities));
    return started;
  }

  async #sync(identities: string): Promise<void> {
    const child = this.#child;
    const synced = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'synced') synced.resolve();
      else this.#take(JSON.parse(line) as Said);
    });
    child.once('exit', (code) => {
      const error = new Error(`the agents ended with ${code}`);
      for (const { reject } of [synced, ...this.#asked.splice(0)]) reject(error);
    });
    child.stdin.write(`${identities}\n`);
    await synced.promise;
  }

  /** What they hold now. */
  async held(): Promise<HeldByAgents> {
    const asked = Promise.withResolvers<HeldByAgents>();
    this.#asked.push(asked);
    this.#child.stdin.write('held\n');
    return await asked.promise;
  }

  #take(said: Said): void {
    if ('held' in said) this.#asked.shift()?.resolve(said);
    else this.#onAnswered(said.name, said.state, BigInt(said.at));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}

async function rootCertificate(api: ApiCalls): Promise<string> {
  const deadline = performance.now() + ROOT_MS_MAX;
  const path = `/api/v1/namespaces/${SYSTEM}/configmaps/ambit-ca-root-cert`;
  for (;;) {
    const found = await api.get(path).catch(() => undefined);
    const pem = found?.data?.['root-cert.pem'];
    if (pem !== undefined) return pem;
    if (performance.now() > deadline) throw new Error('nobody wrote the root certificate');
    await systemClock.sleep(100);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
