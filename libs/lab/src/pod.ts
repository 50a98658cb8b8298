/**
 * One pod's life: network, admission by the node's agent, containers, end. What kubelet does.
 *
 * Rule: no container starts before the agent admitted the pod, so that nothing of an enrolled pod leaves in clear.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Container } from '@ambit/api';
import type { Clock } from '@ambit/core';
import { DNS } from './addresses.ts';
import type { PodEvent } from './agent-client.ts';
import type { AgentLink } from './agent-link.ts';
import { ContainerRun } from './container.ts';
import { type LabNode, netnsPath, type PodNetwork } from './network.ts';
import { type BindMount, type ProcessOptions, startProcess } from './process.ts';
import { POD_PATH } from './tool-path.ts';
import type { PodPlan } from './workloads.ts';

/** After SIGTERM. Kubernetes gives 30 s; a lab's programs hold nothing that needs it. */
const GRACE_MS = 2_000;
/** Of a waypoint: what goes through it is others'. It ends as soon as nothing does. */
const WAYPOINT_GRACE_MS = 10_000;
/** Ready for less, a waypoint replaces none: everybody has to hear of it first. In a cluster, `minReadySeconds`. */
const WAYPOINT_READY_MS = 1_000;
/** A container's image that the lab knows how to run. */
export const WAYPOINT_IMAGE = 'ambit/waypoint';

export type PodPhase = 'Pending' | 'Running' | 'Terminating';

/** What the lab knows and a pod needs. */
export interface PodSurroundings {
  readonly clock: Clock;
  readonly clusterDomain: string;
  /** Folder of this pod's files. */
  readonly folder: string;
  readonly logFolder: string;
  readonly agent: AgentLink | undefined;
  readonly addNetwork: (node: LabNode) => Promise<PodNetwork>;
  /** Command and environment of a waypoint's container; undefined where the lab has no mesh. */
  readonly waypoint: (pod: LabPod) => Promise<WaypointProgram> | undefined;
  /** Called after every change of what is published about the pod. */
  readonly onChange: () => void;
  /** As `onChange`; resolves when it is published: in names, service addresses and objects. */
  readonly published: () => Promise<void>;
}

export interface WaypointProgram {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export class LabPod {
  plan: PodPlan;
  readonly node: LabNode;
  readonly uid = randomUUID();
  readonly createdAtMs: number;
  readonly #around: PodSurroundings;
  readonly #containers: ContainerRun[] = [];
  #network: PodNetwork | undefined;
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  phase: PodPhase = 'Pending';
  /** Why it does not run, for people. */
  message = '';
  #readySince: number | undefined;

  constructor(plan: PodPlan, node: LabNode, around: PodSurroundings) {
    this.plan = plan;
    this.node = node;
    this.#around = around;
    this.createdAtMs = around.clock.wallNow();
  }

  get key(): string {
    return `${this.plan.namespace}/${this.plan.name}`;
  }

  get network(): PodNetwork | undefined {
    return this.#network;
  }

  get addresses(): readonly string[] {
    const address = this.#network?.address;
    return address === undefined ? [] : [address.v4, address.v6];
  }

  get isReady(): boolean {
    return (
      this.phase === 'Running' &&
      this.#containers.length > 0 &&
      this.#containers.every((container) => container.isReady)
    );
  }

  /** Ready for long enough that those before it may go. */
  get isAvailable(): boolean {
    if (!this.isReady || this.#readyMs === 0) return this.isReady;
    return this.#around.clock.now() - (this.#readySince ?? Infinity) >= this.#readyMs;
  }

  get restarts(): number {
    return this.#containers.reduce((sum, container) => sum + container.restarts, 0);
  }

  /** One line about what keeps it from being ready; empty when nothing does. */
  get reason(): string {
    const waiting = this.#containers.find((container) => !container.isReady);
    return this.message !== '' ? this.message : (waiting?.message ?? '');
  }

  /** What agents are told. Only after the network is there. */
  event(): PodEvent {
    const { name, namespace, labels, annotations, spec } = this.plan;
    const netns = this.#network?.netns;
    return {
      uid: this.uid,
      name,
      namespace,
      serviceAccount: spec.serviceAccountName,
      labels,
      annotations,
      netnsPath: netns === undefined ? '' : netnsPath(netns),
      ips: this.addresses,
    };
  }

  /** Idempotent. Failures end up in `message`, and the pod stays Pending. */
  start(): void {
    this.#started ??= this.#start().catch((error: unknown) => {
      this.message = error instanceof Error ? error.message : String(error);
      this.#around.onChange();
    });
  }

  /** New labels or annotations; everything else needs a new pod. */
  relabel(plan: PodPlan): void {
    this.plan = plan;
    if (this.#network !== undefined && this.phase !== 'Terminating') {
      this.#around.agent?.update(this.event());
    }
    this.#around.onChange();
  }

  kill(signal: NodeJS.Signals): boolean {
    return this.#containers.map((container) => container.kill(signal)).includes(true);
  }

  /** Takes it out of its services, ends processes, tells the agent, removes the network. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  /** How a command runs in this pod's network, with its names, folder and environment. */
  processOptions(argv: readonly string[], env: Readonly<Record<string, string>>): ProcessOptions {
    if (this.#network === undefined) {
      throw new Error(`pod ${this.key} has no network yet: ${this.reason}`);
    }
    return {
      netns: this.#network.netns,
      argv,
      cwd: this.plan.folder,
      env: { ...this.#baseEnv(), ...env },
      mounts: this.mounts(),
      ownsPids: true,
      hostname: this.plan.name,
    };
  }

  mounts(): BindMount[] {
    return ['resolv.conf', 'hosts', 'nsswitch.conf'].map((file) => ({
      from: join(this.#around.folder, file),
      to: `/etc/${file}`,
    }));
  }

  /** The container's own `env`, by the name of the container; of the first one by default. */
  containerEnv(name?: string): Record<string, string> {
    const container = this.plan.spec.containers.find(
      (one) => name === undefined || one.name === name,
    );
    return Object.fromEntries((container?.env ?? []).map((entry) => [entry.name, entry.value]));
  }

  async #start(): Promise<void> {
    this.#refuseBadContainers();
    this.#network = await this.#around.addNetwork(this.node);
    this.#writeFiles(this.#network);
    this.#around.onChange();
    if (this.#around.agent !== undefined) {
      this.message = `waiting for the agent of ${this.node.name}`;
      await this.#around.agent.admit(this.event());
    }
    if (this.phase === 'Terminating') {
      return;
    }
    const waypoint = await this.#around.waypoint(this);
    this.phase = 'Running';
    this.message = '';
    for (const container of this.plan.spec.containers) {
      const run = this.#containerRun(container, waypoint);
      this.#containers.push(run);
      run.start();
    }
    this.#around.onChange();
  }

  get #readyMs(): number {
    const isWaypoint = this.plan.spec.containers.some(({ image }) => image === WAYPOINT_IMAGE);
    return isWaypoint ? WAYPOINT_READY_MS : 0;
  }

  #noteReady(): void {
    const { clock, onChange } = this.#around;
    if (!this.isReady) {
      this.#readySince = undefined;
    } else if (this.#readySince === undefined) {
      this.#readySince = clock.now();
      if (this.#readyMs > 0) void clock.sleep(this.#readyMs).then(onChange);
    }
  }

  #refuseBadContainers(): void {
    const { containers, hostNetwork } = this.plan.spec;
    if (hostNetwork) {
      throw new Error('the lab runs no pods with hostNetwork');
    }
    if (containers.length === 0) {
      throw new Error('the pod has no containers');
    }
    const silent = containers.find(
      ({ command, image }) => command.length === 0 && image !== WAYPOINT_IMAGE,
    );
    if (silent !== undefined) {
      throw new Error(
        `container "${silent.name}" has no command: the lab runs commands, not images; add command: [node, server.mjs]`,
      );
    }
  }

  #containerRun(container: Container, waypoint: WaypointProgram | undefined): ContainerRun {
    const isWaypoint = container.command.length === 0;
    const argv = isWaypoint ? (waypoint?.argv ?? []) : [...container.command, ...container.args];
    const env = { ...(isWaypoint ? waypoint?.env : {}), ...this.containerEnv(container.name) };
    const network = this.#network;
    if (argv.length === 0 || network === undefined) {
      throw new Error(`this lab runs without a mesh, so container "${container.name}" cannot run`);
    }
    const { clock, logFolder, onChange } = this.#around;
    const suffix = this.plan.spec.containers.length === 1 ? '' : `.${container.name}`;
    return new ContainerRun({
      container,
      clock,
      onChange: () => {
        this.#noteReady();
        onChange();
      },
      graceMs: isWaypoint ? WAYPOINT_GRACE_MS : GRACE_MS,
      logFile: join(logFolder, `${this.plan.namespace}.${this.plan.name}${suffix}.log`),
      process: () => this.processOptions(argv, env),
      probeTarget: {
        netns: this.node.netns,
        address: network.address,
        container,
        exec: async (command, signal) => await this.#probeCommand(command, env, signal),
      },
    });
  }

  async #probeCommand(
    command: readonly string[],
    env: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<number | null> {
    const started = startProcess(this.processOptions(command, env), 'ignore');
    const kill = (): boolean => started.signal('SIGKILL');
    signal.addEventListener('abort', kill, { once: true });
    const { code } = await started.ended;
    signal.removeEventListener('abort', kill);
    return code;
  }

  #baseEnv(): Record<string, string> {
    return {
      PATH: POD_PATH,
      HOME: '/tmp',
      HOSTNAME: this.plan.name,
      AMBIT_NODE: process.execPath,
      POD_NAME: this.plan.name,
      POD_NAMESPACE: this.plan.namespace,
      POD_IP: this.#network?.address.v4 ?? '',
      NODE_NAME: this.node.name,
    };
  }

  #writeFiles({ address }: PodNetwork): void {
    const { folder, clusterDomain } = this.#around;
    const { namespace, name } = this.plan;
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const search = [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
    writeFileSync(join(folder, 'resolv.conf'), resolvConf(search));
    writeFileSync(
      join(folder, 'hosts'),
      `127.0.0.1 localhost\n::1 localhost\n${address.v4} ${name}\n${address.v6} ${name}\n`,
    );
    writeFileSync(join(folder, 'nsswitch.conf'), NSSWITCH);
  }

  async #end(): Promise<void> {
    this.phase = 'Terminating';
    // Nobody is sent here any more when the program hears of its end.
    await this.#around.published();
    await Promise.all(this.#containers.map((container) => container.stop()));
    await this.#around.agent?.remove(this.uid);
    await this.#started;
    await Promise.all(this.#containers.map((container) => container.stop()));
    await this.#network?.release();
    rmSync(this.#around.folder, { recursive: true, force: true });
  }
}

/** Names come from the lab's server alone, whatever resolver the machine itself uses. */
export const NSSWITCH = 'passwd: files\ngroup: files\nhosts: files dns\n';

export function resolvConf(search: readonly string[]): string {
  const searchLine = search.length === 0 ? '' : `search ${search.join(' ')}\n`;
  return `nameserver ${DNS.v4}\n${searchLine}options ndots:5 timeout:2 attempts:2\n`;
}
