/** The mesh's own programs in a lab: one controller, one agent a node, and what waypoints need to start. */
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '@ambit/core';
import { AgentClient } from './agent-client.ts';
import { AgentLink } from './agent-link.ts';
import { Component, type ComponentOptions } from './component.ts';
import { LabError } from './errors.ts';
import {
  agentEnv,
  agentFolder,
  agentSubject,
  controllerEnv,
  type Env,
  type MeshSettings,
  managedFolder,
  programArgv,
  requirePrograms,
  rootCertificate,
  waypointEnv,
} from './mesh-programs.ts';
import type { LabNetwork, LabNode } from './network.ts';
import { type LabPod, NSSWITCH, resolvConf, type WaypointProgram } from './pod.ts';
import type { BindMount } from './process.ts';
import { TokenFiles, type TokenSubject } from './tokens.ts';
import { unixGet } from './unix-get.ts';

/** Longer than the programs' own drain. */
const GRACE_MS = 8_000;
/** When the whole lab ends there is nothing left to drain. */
const LAST_GRACE_MS = 500;
const ROOT_CERTIFICATE_WAIT_MS = 20_000;
const POLL_MS = 50;
const REPLACE_WAIT_MS = 60_000;
/** As `terminationGracePeriodSeconds` of a DaemonSet: an agent that is replaced may take all of its own deadline. */
const REPLACE_GRACE_MS = 180_000;

export interface MeshExtraEnv {
  readonly controller?: Env;
  readonly agent?: Env;
  readonly waypoint?: Env;
}

export interface MeshOptions {
  readonly settings: MeshSettings;
  readonly network: LabNetwork;
  readonly clock: Clock;
  readonly extraEnv: MeshExtraEnv;
}

export class Mesh {
  readonly #options: MeshOptions;
  readonly #tokens: TokenFiles;
  readonly #links = new Map<string, AgentLink>();
  readonly #mounts: readonly BindMount[];
  /** By name of the node. */
  readonly #agents = new Map<string, ComponentOptions>();
  /** By `controller` or `agent/NODE`. */
  readonly components = new Map<string, Component>();

  private constructor(options: MeshOptions, tokens: TokenFiles) {
    this.#options = options;
    this.#tokens = tokens;
    this.#mounts = writeResolverFiles(options.settings.paths.root);
  }

  static async create(options: MeshOptions): Promise<Mesh> {
    requirePrograms();
    const { paths } = options.settings;
    const mesh = new Mesh(options, await TokenFiles.create(paths.tokens, paths.tokenKeys));
    mkdirSync(managedFolder(paths), { recursive: true });
    return mesh;
  }

  /** Starts the controller, waits for its root certificate, then starts the agents. */
  async start(signal: AbortSignal): Promise<void> {
    const { settings, network, clock } = this.#options;
    this.#addController();
    for (const node of network.nodes) {
      await this.#addAgent(node);
    }
    this.components.get('controller')?.start();
    const deadline = clock.now() + ROOT_CERTIFICATE_WAIT_MS;
    while (!existsSync(rootCertificate(settings.paths)) && clock.now() < deadline) {
      await clock.sleep(POLL_MS, signal);
    }
    // Without a root the agents start all the same: they retry, and pods wait for them.
    for (const component of this.components.values()) {
      component.start();
    }
  }

  linkOf(node: LabNode): AgentLink | undefined {
    return this.#links.get(node.name);
  }

  /** Admin sockets of the agents that are meant to run. */
  get runningAgentSockets(): readonly string[] {
    const { settings, network } = this.#options;
    return network.nodes
      .filter(({ name }) => this.components.get(`agent/${name}`)?.state !== 'stopped')
      .map((node) => join(agentFolder(settings.paths, node), 'admin.sock'));
  }

  /** What the container of a waypoint's pod runs. */
  async waypointProgram(pod: LabPod): Promise<WaypointProgram> {
    const { settings, extraEnv } = this.#options;
    const subject = subjectOf(pod);
    const tokenFile = await this.#tokens.add(subject);
    const address = pod.addresses[0] ?? '';
    const env = waypointEnv(settings, { subject, tokenFile, labels: pod.plan.labels, address });
    mkdirSync(dirname(env['AMBIT_ADMIN_SOCKET'] ?? ''), { recursive: true });
    return { argv: programArgv('waypoint'), env: { ...env, ...extraEnv.waypoint } };
  }

  /**
   * As an update of a DaemonSet that may surge: a second agent starts on the node, and the first is told to end at once or
   * when the second serves. Resolves when the first has ended; until then both are there.
   */
  async replaceAgent(node: string, endFirst: 'at once' | 'when served'): Promise<void> {
    const { settings, clock } = this.#options;
    const options = this.#agents.get(node);
    const first = this.components.get(`agent/${node}`);
    if (options === undefined || first === undefined) {
      throw new LabError('LAB_COMPONENT_NOT_FOUND', `no agent on a node "${node}"`);
    }
    const path = join(settings.paths.nodes, node, 'admin.sock');
    const { ino } = statSync(path);
    const second = new Component(options);
    this.components.set(first.name, second);
    second.start();
    // It is announced by a socket of its own, beside the first one's.
    const isThere = (): boolean => socketsOf(path) > 1;
    const isServing = async (): Promise<boolean> =>
      statSync(path).ino !== ino && String(await unixGet(path, '/ready')).startsWith('ready');
    const isTime = endFirst === 'at once' ? isThere : isServing;
    const deadline = clock.now() + REPLACE_WAIT_MS;
    while (!(await isTime()) && clock.now() < deadline) {
      await clock.sleep(POLL_MS);
    }
    await first.stop(REPLACE_GRACE_MS);
  }

  async podGone(pod: LabPod): Promise<void> {
    await this.#tokens.remove(subjectOf(pod));
  }

  async renewTokens(): Promise<void> {
    await this.#tokens.renewAll();
  }

  /** Agents before the controller, so that none reports a loss that is none. */
  async stop(): Promise<void> {
    const agents = [...this.components.values()].filter(({ name }) => name !== 'controller');
    await Promise.all(agents.map((agent) => agent.stop(LAST_GRACE_MS)));
    await this.components.get('controller')?.stop(LAST_GRACE_MS);
  }

  #addController(): void {
    const { settings, network, extraEnv, clock } = this.#options;
    const name = 'controller';
    const component = new Component({
      name,
      clock,
      graceMs: GRACE_MS,
      logFile: join(settings.paths.logs, `${name}.log`),
      process: () => ({
        netns: network.controller,
        argv: programArgv('controller'),
        cwd: settings.paths.controller,
        env: { ...controllerEnv(settings), ...extraEnv.controller },
        mounts: this.#mounts,
        ownsPids: false,
      }),
    });
    this.components.set(name, component);
  }

  async #addAgent(node: LabNode): Promise<void> {
    const { settings, extraEnv, clock } = this.#options;
    const folder = agentFolder(settings.paths, node);
    mkdirSync(folder, { recursive: true });
    const link = new AgentLink(new AgentClient(folder), clock);
    this.#links.set(node.name, link);
    const tokenFile = await this.#tokens.add(agentSubject(node));
    const name = `agent/${node.name}`;
    const options: ComponentOptions = {
      name,
      clock,
      graceMs: GRACE_MS,
      logFile: join(settings.paths.logs, `agent.${node.name}.log`),
      process: () => ({
        netns: node.netns,
        argv: programArgv('node-agent'),
        cwd: folder,
        env: { ...agentEnv(settings, node, tokenFile), ...extraEnv.agent },
        mounts: this.#mounts,
        ownsPids: false,
      }),
      onStart: () => link.agentStarted(),
    };
    this.#agents.set(node.name, options);
    this.components.set(name, new Component(options));
  }
}

/** How many agents have a socket of their own beside this path. */
function socketsOf(path: string): number {
  return readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}.`)).length;
}

function subjectOf(pod: LabPod): TokenSubject {
  const { namespace, name, spec } = pod.plan;
  return {
    namespace,
    serviceAccount: spec.serviceAccountName,
    pod: { name, uid: pod.uid },
    node: pod.node.name,
  };
}

/** The mesh's programs ask the lab's name server too, not the machine's. */
function writeResolverFiles(folder: string): BindMount[] {
  const files = { 'resolv.conf': resolvConf([]), 'nsswitch.conf': NSSWITCH };
  return Object.entries(files).map(([name, text]) => {
    writeFileSync(join(folder, name), text);
    return { from: join(folder, name), to: `/etc/${name}` };
  });
}
