/**
 * The agent as a whole: the order in which it starts, what follows when pods or enrolments change, how it ends.
 *
 * Rule: it starts to serve pods with the controller's word if that comes soon, and with what is on disk if not. It
 * ends without touching any pod's rules, so that nothing leaves in clear while it is gone.
 */
import type { Clock } from '@ambit/core';
import type { CertificateManager, CrlWatch, RootWatch } from '@ambit/identity';
import type { Enrolment } from '@ambit/model';
import { closeFd, currentNetns, openNetns, tcpSocket } from '@ambit/netns';
import {
  type Logger,
  type LogLevels,
  loggingRoute,
  metricsRoute,
  profileRoutes,
  Readiness,
  readinessRoute,
} from '@ambit/telemetry';
import { type DeltaClient, TYPE_URL } from '@ambit/xds';
import type { Registry } from 'prom-client';
import { metricsText } from './admin/agent-metrics.ts';
import { agentRoutes } from './admin/agent-routes.ts';
import type { AgentServers } from './admin/agent-servers.ts';
import { PACKET_MARK } from './capture/constants.ts';
import type { HostProbes } from './capture/host-probes.ts';
import { migrationProblem } from './capture/pod-network.ts';
import type { CniPods } from './cni/cni-pods.ts';
import { cniRoutes } from './cni/cni-routes.ts';
import type { CniInstaller } from './cni/install/cni-installer.ts';
import { replayRemovals } from './cni/plugin/del-journal.ts';
import { readRunningPods } from './cni/running-pods.ts';
import type { AgentConfig } from './config.ts';
import type { MeshState } from './control/mesh-state.ts';
import type { PodIdentities } from './control/pod-identities.ts';
import { awaitSuccessor, DRAINING } from './handover/successor.ts';
import { workloadUid } from './pods/pod.ts';
import type { PodRegistry } from './pods/pod-registry.ts';
import { podRoutes } from './pods/pod-routes.ts';
import type { PodStore } from './pods/store.ts';
import type { WorkerPool } from './workers/worker-pool.ts';

/** How long the start waits for a controller before it goes on with what is on disk. */
const FIRST_SYNC_MS = 10_000;
/** How often an agent that was taken over looks whether its successor lives. */
const SUCCESSOR_CHECK_MS = 1_000;
/** Of the time to drain: what an agent that ends waits at most for its successor to serve. */
const SUCCESSOR_SHARE = 0.5;

export interface AgentParts {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly levels: LogLevels;
  readonly version: string;
  readonly quit: () => void;
  readonly state: MeshState;
  readonly workers: WorkerPool;
  /** The connection to the certificate authority. */
  readonly authority: { close(): void };
  readonly manager: CertificateManager;
  readonly roots: RootWatch;
  /** Undefined: no file of revocation lists is named. */
  readonly crls: CrlWatch | undefined;
  readonly identities: PodIdentities;
  readonly store: PodStore;
  readonly registry: PodRegistry;
  readonly servers: AgentServers;
  readonly cni: CniPods;
  readonly installer: CniInstaller | undefined;
  readonly probes: HostProbes;
  readonly client: DeltaClient | undefined;
  readonly metrics: Registry;
}

export class Agent {
  readonly readiness = new Readiness();
  readonly #parts: AgentParts;
  readonly #holds: Record<'state' | 'proxy' | 'dns' | 'pods', Disposable>;
  #enrolments: ReadonlyMap<string, Enrolment> | undefined;
  #hasSynced = false;
  #hasPods = false;
  #pluginHold: Disposable | undefined;
  readonly #ending = new AbortController();
  #stopping: Promise<void> | undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#holds = {
      state: this.readiness.hold('state manager'),
      proxy: this.readiness.hold('proxy'),
      dns: this.readiness.hold('dns proxy'),
      pods: this.readiness.hold('workload proxy manager'),
    };
  }

  /** Resolves when pods are served. Throws where the agent could never work: no privilege, a port that is taken. */
  async start(): Promise<void> {
    const { workers, client, store, registry, cni, servers, config } = this.#parts;
    selfTest(this.#parts.log);
    store.open();
    await this.#listenForPeople();
    // Whoever is revoked is known before anybody is taken.
    await this.#parts.crls?.start();
    await workers.start();
    this.#holds.proxy[Symbol.dispose]();
    if (client === undefined) {
      this.#holds.state[Symbol.dispose]();
    } else {
      client.start();
      this.#parts.roots.start();
      void client.firstSync.then(() => this.#onFirstSync());
      await this.#waitForSync(client);
    }
    await servers.listenForPods([...podRoutes(registry), ...cniRoutes(cni)]);
    registry.start(this.#hasSynced ? (this.#enrolments ?? new Map()) : undefined);
    this.#hasPods = true;
    await this.#openProbes();
    this.podsChanged();
    this.#holds.dns[Symbol.dispose]();
    await replayRemovals(config.runDir, (removal) => cni.del(removal));
    cni.refresh();
    servers.claim();
    void this.#watchSuccessor();
    this.installationChanged();
    this.#parts.installer?.start();
  }

  /** Until new pods come to this agent it is not ready, so that its node takes none. */
  installationChanged(): void {
    const problem = this.#parts.installer?.problem;
    if (problem === undefined) {
      void this.#adopt();
    }
    this.#pluginHold?.[Symbol.dispose]();
    this.#pluginHold =
      problem === undefined ? undefined : this.readiness.hold(`cni plugin (${problem})`);
  }

  /** Pods that started before the plugin was there. */
  async #adopt(): Promise<void> {
    const { cni, config, log } = this.#parts;
    if (config.cni !== undefined) {
      const count = await cni.adopt(readRunningPods(config.cni.cacheDir));
      log.info('running pods are known', { new: count });
    }
  }

  /** What the controller says now; used once everything has come for the first time, so that a part is never the whole. */
  setEnrolments(enrolments: ReadonlyMap<string, Enrolment>): void {
    this.#enrolments = enrolments;
    if (this.#hasSynced && this.#hasPods) {
      this.#parts.registry.setEnrolments(enrolments);
      this.#parts.installer?.wake();
    }
  }

  /** Certificates, what the controller knows of captures, and readiness follow the pods. */
  podsChanged(): void {
    const { registry, identities, client, config } = this.#parts;
    if (!this.#hasPods || this.#stopping !== undefined) {
      return;
    }
    identities.keep(registry.served);
    const captured = registry.captured.map((pod) => workloadUid(config.clusterId, pod));
    client?.setNames(TYPE_URL.capture, new Set(captured));
    if (registry.pendingCount === 0) {
      this.#holds.pods[Symbol.dispose]();
    } else {
      this.#holds.pods = this.readiness.hold('workload proxy manager');
    }
  }

  /**
   * Waits for a successor on this node, if one is on its way; then stops accepting, lets connections end until the
   * deadline, leaves rules. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { registry, workers, client, authority, manager, servers, log } = this.#parts;
    const deadlineMs = await this.#handOver();
    this.#ending.abort();
    this.readiness.hold(DRAINING);
    log.info('draining', { deadlineMs });
    await this.#parts.installer?.stop();
    servers.disown();
    const drained = workers.drain(deadlineMs);
    const left = registry.stop();
    const cutOff = await drained;
    if (cutOff.length > 0) {
      log.warn('connections were cut off by the drain', { count: cutOff.length, cutOff });
    }
    // Ends what still waits for a worker, as a capture that is under way does.
    workers.stop();
    await left;
    await this.#parts.roots.stop();
    await this.#parts.crls?.stop();
    manager.stop();
    authority.close();
    await client?.stop();
    await servers.stop();
    log.info('stopped');
  }

  /** With what is left of the time to drain. */
  async #handOver(): Promise<number> {
    const { clock, config, log, servers } = this.#parts;
    const startedAt = clock.now();
    const { adminSocket } = servers;
    const deadlineMs = config.drainMs * SUCCESSOR_SHARE;
    const succession = await awaitSuccessor({ clock, adminSocket, deadlineMs });
    if (succession !== 'none') {
      log.info('another agent follows on this node', { succession });
      await servers.releasePorts();
    }
    return Math.max(0, config.drainMs - (clock.now() - startedAt));
  }

  /** An agent that took over and died serves nobody: this one, if it is still there, has the node again. */
  async #watchSuccessor(): Promise<void> {
    const { clock, log, registry, servers } = this.#parts;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await clock.sleep(SUCCESSOR_CHECK_MS, signal);
      } catch {
        return;
      }
      if (servers.podSocket.isSuperseded && !(await servers.podSocket.isServedByAnother())) {
        servers.claim();
        registry.resume();
        log.warn('the agent that took over is gone, this one goes on');
      }
    }
  }

  /** Without the rule no pod counts as captured: the failure shows there, and is tried again. */
  async #openProbes(): Promise<void> {
    const { config, log, probes, registry } = this.#parts;
    const pods = registry.rows.map(({ pod }) => pod);
    try {
      await probes.open(openNetns(config.hostNetns), pods);
    } catch (error) {
      log.error("the node's rule for probes cannot be written", { error });
    }
  }

  async #waitForSync(client: DeltaClient): Promise<void> {
    const { clock, log } = this.#parts;
    const done = new AbortController();
    const isLate = clock.sleep(FIRST_SYNC_MS, done.signal).then(
      () => true,
      () => false,
    );
    if (await Promise.race([client.firstSync.then(() => false), isLate])) {
      log.warn('no controller yet, going on with what is known on this node');
    }
    done.abort();
  }

  #onFirstSync(): void {
    this.#hasSynced = true;
    this.#holds.state[Symbol.dispose]();
    if (this.#hasPods) {
      this.setEnrolments(this.#enrolments ?? new Map());
    }
    this.#parts.log.info('first configuration is in force');
  }

  async #listenForPeople(): Promise<void> {
    const { clock, levels, metrics, workers, servers } = this.#parts;
    const text = () => metricsText(metrics, workers);
    const admin = [
      ...agentRoutes({ ...this.#parts, xdsStatus: () => this.#parts.client?.status() }),
      readinessRoute('/ready', this.readiness),
      metricsRoute('/metrics', text),
      loggingRoute(levels),
      ...profileRoutes(clock, () => workers.heaps),
    ];
    await servers.listenForPeople({ admin, readiness: this.readiness, metricsText: text });
  }
}

/** Entering a namespace and marking a socket, once, here: better now than at the first pod. */
function selfTest(log: Logger): void {
  using own = currentNetns();
  const problem = migrationProblem(own);
  if (problem !== undefined) {
    log.warn('connections that wait to be accepted will be lost at a hand-over', {
      error: problem,
    });
  }
  closeFd(tcpSocket(own, { family: 4, mark: PACKET_MARK }));
}
