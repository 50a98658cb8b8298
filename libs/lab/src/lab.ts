/**
 * A mesh on one machine, held by this process: `labStart` makes it, `close` removes all of it, and so does the
 * kernel when this process dies.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@ambit/core';
import { removeApplied, writeApplied } from './applied.ts';
import { Capture } from './capture.ts';
import type { Cluster } from './cluster.ts';
import type { DnsServer } from './dns-server.ts';
import { LabError } from './errors.ts';
import { keepLogsSmall } from './logs.ts';
import type { Mesh } from './mesh.ts';
import { agentsKnow } from './mesh-knowledge.ts';
import type { LabNetwork } from './network.ts';
import type { LabPaths } from './paths.ts';
import { pause } from './pause.ts';
import type { LabPod } from './pod.ts';
import { type LabProcess, startProcess } from './process.ts';
import { releaseFolder } from './record.ts';
import { type LabStatus, labStatus } from './status.ts';

const WAIT_MS_DEFAULT = 30_000;
const POLL_MS = 20;
const MAINTENANCE_MS = 30_000;
/** A quarter of a token's life, in rounds of maintenance. */
const TOKEN_ROUNDS = 30;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export interface ExecResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface WaitOptions {
  readonly timeoutMs?: number;
  /** Ends "timed out waiting for …". */
  readonly what: string;
}

export class Lab {
  readonly name: string;
  readonly paths: LabPaths;
  readonly folder: string;
  readonly network: LabNetwork;
  readonly cluster: Cluster;
  readonly mesh: Mesh | undefined;
  readonly clock: Clock;
  readonly #dns: DnsServer;
  readonly #closing = new AbortController();
  readonly #captures = new Set<Capture>();
  #closed: Promise<void> | undefined;

  /** For `labStart` only; the lab owns its parts from then on. */
  constructor(parts: LabParts) {
    this.name = parts.name;
    this.paths = parts.paths;
    this.folder = parts.folder;
    this.network = parts.network;
    this.cluster = parts.cluster;
    this.mesh = parts.mesh;
    this.clock = parts.clock;
    this.#dns = parts.dns;
  }

  /** Starts programs and pods, and returns without waiting for the pods. */
  async start(): Promise<void> {
    await this.mesh?.start(this.#closing.signal);
    this.cluster.start();
    void this.#maintain();
  }

  /**
   * Writes objects as `kubectl apply` would: each replaces the one of its key, from the folder too. Throws
   * `LAB_OBJECT_INVALID` only for what is no object at all; everything else is the controller's to judge.
   */
  apply(yamlText: string): void {
    writeApplied(this.paths.applied, yamlText);
    this.cluster.filesChanged();
  }

  /** Removes an object that was applied: `Kind/namespace/name`, `Kind/name`. Throws `LAB_OBJECT_NOT_FOUND`. */
  delete(key: string): void {
    removeApplied(this.paths.applied, key);
    this.cluster.filesChanged();
  }

  /** By `namespace/name`, by name, or by the name of its Deployment (a ready pod of it, if there is one). */
  pod(reference: string): LabPod {
    const pods = this.cluster.pods.all.filter(
      ({ plan }) =>
        `${plan.namespace}/${plan.name}` === reference ||
        plan.name === reference ||
        ownerName(plan.owner, reference.includes('/')) === reference,
    );
    const pod = pods.find((one) => one.isReady) ?? pods[0];
    if (pod === undefined) {
      const known = this.cluster.pods.all.map(({ key }) => key).join(', ');
      throw new LabError(
        'LAB_POD_NOT_FOUND',
        `no pod "${reference}"; there are: ${known || 'none'}`,
      );
    }
    return pod;
  }

  /** Runs a command in a pod's network, with its names, folder and environment, and collects what it prints. */
  async exec(
    reference: string,
    argv: readonly string[],
    options: { readonly signal?: AbortSignal; readonly input?: string } = {},
  ): Promise<ExecResult> {
    const { child, ended, signal } = this.spawn(reference, argv);
    const kill = (): boolean => signal('SIGKILL');
    options.signal?.addEventListener('abort', kill, { once: true });
    const out = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        out[name] = (out[name] + text).slice(0, OUTPUT_BYTES_MAX);
      });
    }
    child.stdin?.on('error', () => undefined); // the command need not read it
    child.stdin?.end(options.input ?? '');
    const closed = new Promise((done) => child.once('close', done));
    const { code, error } = await ended;
    options.signal?.removeEventListener('abort', kill);
    if (error !== undefined) {
      return { code: null, stdout: '', stderr: error };
    }
    await closed;
    return { code, ...out };
  }

  /** As `exec`, for a process that the caller talks to; its standard streams are pipes. */
  spawn(
    reference: string,
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): LabProcess {
    const pod = this.pod(reference);
    const options = pod.processOptions(argv, { ...pod.containerEnv(), ...env });
    return startProcess(options, ['pipe', 'pipe', 'pipe']);
  }

  /**
   * `controller`, `agent/node1`, `waypoint/ns/name`, `pod/ns/name`: as a crash, it comes back by itself. Throws
   * `LAB_COMPONENT_NOT_FOUND`.
   */
  kill(component: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    const program = this.mesh?.components.get(component);
    if (program !== undefined) {
      program.kill(signal);
      return;
    }
    this.#podOf(component).kill(signal);
  }

  /** Stops a component, a waypoint or a workload (`Deployment/ns/name`) until `startComponent`. */
  async stopComponent(component: string): Promise<void> {
    const program = this.mesh?.components.get(component);
    if (program !== undefined) {
      await program.stop();
      return;
    }
    const { plan } = this.#podOf(component);
    this.cluster.suspend(plan.owner, true);
    const isGone = (): boolean =>
      !this.cluster.pods.all.some((pod) => pod.plan.owner === plan.owner);
    await this.waitFor(isGone, { what: `${component} to stop` });
  }

  startComponent(component: string): void {
    const program = this.mesh?.components.get(component);
    if (program !== undefined) {
      program.start();
      return;
    }
    this.cluster.suspend(component.replace(/^waypoint\//, 'Deployment/'), false);
  }

  /** Ends a pod; its Deployment makes another one. */
  deletePod(reference: string): void {
    this.cluster.pods.recreate(this.pod(reference).key);
  }

  /** Every frame that crosses between the nodes and the controller, from now on. */
  async capture(): Promise<Capture> {
    const capture = await Capture.start(this.network.fabric, this.paths.captures, this.clock);
    this.#captures.add(capture);
    return capture;
  }

  /** What a component or pod has printed: `controller`, `agent/node1`, `ns/pod`. */
  logs(name: string): string {
    try {
      return readFileSync(join(this.paths.logs, `${name.replaceAll('/', '.')}.log`), 'utf8');
    } catch {
      // It has not started.
      return '';
    }
  }

  status(): LabStatus {
    return labStatus(this);
  }

  /** Polls until the condition holds (or stops throwing). Throws `LAB_TIMEOUT` with the last error as its cause. */
  async waitFor(
    condition: () => boolean | Promise<boolean>,
    { timeoutMs = WAIT_MS_DEFAULT, what }: WaitOptions,
  ): Promise<void> {
    const deadline = this.clock.now() + timeoutMs;
    let last: unknown;
    for (;;) {
      try {
        if (await condition()) {
          return;
        }
        last = undefined;
      } catch (error) {
        last = error;
      }
      if (this.clock.now() > deadline) {
        const why = last === undefined ? '' : `: ${String(last)}`;
        throw new LabError('LAB_TIMEOUT', `timed out waiting for ${what}${why}`, last);
      }
      await this.clock.sleep(POLL_MS, this.#closing.signal);
    }
  }

  /** Waits until every pod that the YAML asks for is ready and every agent knows it. Throws `LAB_TIMEOUT`. */
  async ready(timeoutMs = WAIT_MS_DEFAULT): Promise<void> {
    try {
      await this.waitFor(() => this.cluster.isSettled, { timeoutMs, what: 'pods' });
    } catch (error) {
      throw new LabError(
        'LAB_TIMEOUT',
        `not ready after ${timeoutMs} ms: ${this.#unready()}`,
        error,
      );
    }
    const { mesh, cluster } = this;
    if (mesh !== undefined) {
      const knows = async (): Promise<boolean> =>
        await agentsKnow(mesh.runningAgentSockets, cluster.pods.all);
      await this.waitFor(knows, { timeoutMs, what: 'the agents to know every pod' });
    }
  }

  /** Removes everything: processes, namespaces, files. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #podOf(component: string): LabPod {
    const [kind, ...rest] = component.split('/');
    if (kind === undefined || !['waypoint', 'pod', 'Pod', 'Deployment'].includes(kind)) {
      const known = [...(this.mesh?.components.keys() ?? [])].join(', ');
      throw new LabError(
        'LAB_COMPONENT_NOT_FOUND',
        `no component "${component}"; there are: ${known}`,
      );
    }
    return this.pod(rest.join('/'));
  }

  #unready(): string {
    const pods = this.cluster.pods.all.filter((pod) => !pod.isReady);
    return [
      ...pods.map((pod) => `${pod.key} (${pod.phase}: ${pod.reason})`),
      ...[...this.cluster.pods.unplaced].map(([key, why]) => `${key} (${why})`),
      ...this.cluster.problems.map(({ file, message }) => `${file}: ${message}`),
      this.cluster.lastError,
    ]
      .filter((line) => line !== '')
      .join('; ');
  }

  async #maintain(): Promise<void> {
    for (let round = 1; await pause(this.clock, MAINTENANCE_MS, this.#closing.signal); round += 1) {
      keepLogsSmall(this.paths.logs);
      if (round % TOKEN_ROUNDS === 0) {
        await this.mesh?.renewTokens();
      }
    }
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#captures].map((capture) => capture.stop()));
    await this.cluster.stop();
    await this.mesh?.stop();
    this.#dns.close();
    this.network.close();
    releaseFolder(this.paths);
  }
}

export interface LabParts {
  readonly name: string;
  readonly paths: LabPaths;
  readonly folder: string;
  readonly network: LabNetwork;
  readonly cluster: Cluster;
  readonly mesh: Mesh | undefined;
  readonly clock: Clock;
  readonly dns: DnsServer;
}

/** `Deployment/shop/reviews` → `shop/reviews` or `reviews`. */
function ownerName(owner: string, withNamespace: boolean): string {
  const parts = owner.split('/').slice(1);
  return withNamespace ? parts.join('/') : (parts.at(-1) ?? '');
}
