/**
 * The agent as a whole: the order in which it starts, what follows when pods or enrolments change, how it ends.
 *
 * Rule: it starts to serve pods with the controller's word if that comes soon, and with what is on disk if not. It
 * ends without touching any pod's rules, so that nothing leaves in clear while it is gone.
 */
import type { Clock } from '@ambit/core';
import type { CertificateManager } from '@ambit/identity';
import type { Enrolment } from '@ambit/model';
import { closeFd, currentNetns, openNetns, tcpSocket } from '@ambit/netns';
import {
  AdminServer,
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
import { listenOnSocket } from './admin/socket-server.ts';
import { PACKET_MARK } from './capture/constants.ts';
import type { HostProbes } from './capture/host-probes.ts';
import type { CniPods } from './cni/cni-pods.ts';
import { cniRoutes } from './cni/cni-routes.ts';
import { replayRemovals } from './cni/plugin/del-journal.ts';
import type { AgentConfig } from './config.ts';
import type { MeshState } from './control/mesh-state.ts';
import type { PodIdentities } from './control/pod-identities.ts';
import { workloadUid } from './pods/pod.ts';
import type { PodRegistry } from './pods/pod-registry.ts';
import { podRoutes } from './pods/pod-routes.ts';
import type { PodStore } from './pods/store.ts';
import type { WorkerPool } from './workers/worker-pool.ts';

/** How long the start waits for a controller before it goes on with what is on disk. */
const FIRST_SYNC_MS = 10_000;

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
  readonly identities: PodIdentities;
  readonly store: PodStore;
  readonly registry: PodRegistry;
  readonly cni: CniPods;
  readonly probes: HostProbes;
  readonly client: DeltaClient | undefined;
  readonly metrics: Registry;
}

export class Agent {
  readonly readiness = new Readiness();
  readonly #parts: AgentParts;
  readonly #servers: AdminServer[] = [];
  readonly #sockets: Disposable[] = [];
  readonly #holds: Record<'state' | 'proxy' | 'dns' | 'pods', Disposable>;
  #enrolments: ReadonlyMap<string, Enrolment> | undefined;
  #hasSynced = false;
  #hasPods = false;
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
    const { workers, client, store, registry, cni, config } = this.#parts;
    selfTest();
    store.open();
    await this.#listenForPeople();
    await workers.start();
    this.#holds.proxy[Symbol.dispose]();
    if (client === undefined) {
      this.#holds.state[Symbol.dispose]();
    } else {
      client.start();
      void client.firstSync.then(() => this.#onFirstSync());
      await this.#waitForSync(client);
    }
    registry.start(this.#hasSynced ? (this.#enrolments ?? new Map()) : undefined);
    this.#hasPods = true;
    await this.#openProbes();
    this.podsChanged();
    this.#holds.dns[Symbol.dispose]();
    await replayRemovals(config.runDir, (removal) => cni.del(removal));
    cni.refresh();
    const routes = [...podRoutes(registry), ...cniRoutes(cni)];
    const server = this.#server('Ambit node agent, pods', routes);
    this.#sockets.push(await listenOnSocket(server, `${config.runDir}/agent.sock`));
  }

  /** What the controller says now; used once everything has come for the first time, so that a part is never the whole. */
  setEnrolments(enrolments: ReadonlyMap<string, Enrolment>): void {
    this.#enrolments = enrolments;
    if (this.#hasSynced && this.#hasPods) {
      this.#parts.registry.setEnrolments(enrolments);
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

  /** Stops accepting, lets connections end until the deadline, leaves rules. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { registry, workers, client, authority, manager, config, log } = this.#parts;
    log.info('draining', { deadlineMs: config.drainMs });
    for (const socket of this.#sockets) {
      socket[Symbol.dispose]();
    }
    const drained = workers.drain(config.drainMs);
    const left = registry.stop();
    const cutOff = await drained;
    if (cutOff.length > 0) {
      log.warn('connections were cut off by the drain', { count: cutOff.length, cutOff });
    }
    // Ends what still waits for a worker, as a capture that is under way does.
    workers.stop();
    await left;
    manager.stop();
    authority.close();
    await client?.stop();
    await Promise.all(this.#servers.map((server) => server.stop()));
    log.info('stopped');
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
      this.#parts.registry.setEnrolments(this.#enrolments ?? new Map());
    }
    this.#parts.log.info('first configuration is in force');
  }

  async #listenForPeople(): Promise<void> {
    const { config, clock, levels, metrics, workers } = this.#parts;
    const text = () => metricsText(metrics, workers);
    const admin = this.#server('Ambit node agent', [
      ...agentRoutes({ ...this.#parts, xdsStatus: () => this.#parts.client?.status() }),
      readinessRoute('/ready', this.readiness),
      metricsRoute('/metrics', text),
      loggingRoute(levels),
      ...profileRoutes(clock),
    ]);
    await admin.listen(config.adminAddress);
    this.#sockets.push(await listenOnSocket(admin, config.adminSocket));
    const stats = this.#server('Ambit node agent, metrics', [
      metricsRoute('/metrics', text),
      metricsRoute('/stats/prometheus', text),
    ]);
    await stats.listen(config.metricsAddress);
    const ready = this.#server('Ambit node agent, readiness', [
      readinessRoute('/healthz/ready', this.readiness),
    ]);
    await ready.listen(config.readinessAddress);
  }

  #server(
    title: string,
    routes: ConstructorParameters<typeof AdminServer>[0]['routes'],
  ): AdminServer {
    const server = new AdminServer({ title, routes, log: this.#parts.log.scoped('admin') });
    this.#servers.push(server);
    return server;
  }
}

/** Entering a namespace and marking a socket, once, here: better now than at the first pod. */
function selfTest(): void {
  using own = currentNetns();
  closeFd(tcpSocket(own, { family: 4, mark: PACKET_MARK }));
}
