/**
 * The waypoint as a whole: the order in which it starts, and how it ends.
 *
 * Rule: it listens only when its first complete configuration and its certificate are here. Before, clients
 * are refused by the kernel, and the readiness page says what is missing.
 */
import type { Clock } from '@ambit/core';
import type { CertificateManager, CrlWatch, RootWatch } from '@ambit/identity';
import {
  type AdminRoute,
  AdminServer,
  createRegistry,
  describeHeaps,
  type Logger,
  type LogLevels,
  loggingRoute,
  type MetricsSnapshot,
  mergedText,
  metricsRoute,
  profileRoutes,
  Readiness,
  readinessRoute,
  registerCrlMetrics,
  registerHeapMetrics,
  registerProcessMetrics,
  snapshotOf,
} from '@ambit/telemetry';
import type { CertificateClient, DeltaClient } from '@ambit/xds';
import { waypointRoutes } from './admin/waypoint-routes.ts';
import { identityOf, type WaypointConfig } from './config.ts';
import type { MeshState } from './control/mesh-state.ts';
import type { OwnCertificate } from './control/own-certificate.ts';
import { maxFds, openFds } from './process-limits.ts';
import { Listeners } from './workers/listeners.ts';
import type { WorkerPool } from './workers/worker-pool.ts';

export interface WaypointParts {
  readonly config: WaypointConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly levels: LogLevels;
  readonly version: string;
  readonly quit: () => void;
  readonly state: MeshState;
  readonly workers: WorkerPool;
  readonly authority: CertificateClient;
  readonly manager: CertificateManager;
  readonly roots: RootWatch;
  /** Undefined: no file of revocation lists is named. */
  readonly crls: CrlWatch | undefined;
  readonly certificate: OwnCertificate;
  readonly client: DeltaClient;
}

export class Waypoint {
  readonly readiness = new Readiness();
  readonly #parts: WaypointParts;
  readonly #servers: AdminServer[] = [];
  readonly #holds: Record<'workers' | 'configuration' | 'certificate', Disposable>;
  #stopping: Promise<void> | undefined;
  #listeners: Listeners | undefined;

  constructor(parts: WaypointParts) {
    this.#parts = parts;
    this.#holds = {
      workers: this.readiness.hold('workers'),
      configuration: this.readiness.hold('configuration'),
      certificate: this.readiness.hold('certificate'),
    };
  }

  /** Of the tunnels; 0 before it serves. */
  get port(): number {
    return this.#listeners?.port ?? 0;
  }

  /** Resolves when it serves or was stopped before, which may take as long as the controller is away. */
  async start(): Promise<void> {
    const { workers, client, manager, roots, certificate, config, log } = this.#parts;
    await this.#listenForPeople();
    // Whoever is revoked is known before anybody is taken.
    await this.#parts.crls?.start();
    await workers.start();
    client.start();
    roots.start();
    manager.prefetch(identityOf(config));
    await Promise.all([
      client.firstSync.then(() => this.#holds.configuration[Symbol.dispose]()),
      certificate.issued.then(() => this.#holds.certificate[Symbol.dispose]()),
    ]);
    if (this.#stopping !== undefined) {
      return;
    }
    log.info('first configuration is in force');
    const listeners = this.#listen();
    await workers.serve((index) => listeners.forWorker(index));
    this.#holds.workers[Symbol.dispose]();
    log.info('serving', { gateway: config.gateway, ...describeHeaps(config) });
  }

  /** Says that it leaves, stops accepting, lets connections end until the deadline. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { workers, client, authority, manager, config, clock, log } = this.#parts;
    const { drainMs } = config;
    this.readiness.hold('draining');
    const delayMs = this.#listeners === undefined ? 0 : config.drainDelayMs;
    log.info('draining', { deadlineMs: drainMs, delayMs });
    if (delayMs > 0) {
      // Agents hear of its end while it is told to end; until they have, they still come here.
      workers.leave();
      await clock.sleep(delayMs);
    }
    this.#listeners?.close();
    const cutOff = await workers.drain(drainMs - delayMs);
    if (cutOff > 0) {
      log.warn('connections were cut off by the drain', { count: cutOff });
    }
    workers.stop();
    await this.#parts.roots.stop();
    await this.#parts.crls?.stop();
    manager.stop();
    authority.close();
    await client.stop();
    await Promise.all(this.#servers.map((server) => server.stop()));
    log.info('stopped');
  }

  #listen(): Listeners {
    const { config, log } = this.#parts;
    const at = config.hboneAddress;
    this.#listeners = Listeners.open({ at, count: config.workers, log: log.scoped('listeners') });
    return this.#listeners;
  }

  async #listenForPeople(): Promise<void> {
    const { config, clock, levels, version } = this.#parts;
    const registry = createRegistry();
    registerProcessMetrics(registry, { component: 'waypoint', version, openFds, maxFds });
    registerHeapMetrics(registry, config);
    registerCrlMetrics(registry, () => this.#parts.crls?.status);
    const text = async (): Promise<string> => {
      const reports = (await this.#parts.workers.report('metrics')) as readonly MetricsSnapshot[];
      return await mergedText([await snapshotOf(registry), this.#controlSnapshot(), ...reports]);
    };
    const metrics = [metricsRoute('/metrics', text), metricsRoute('/stats/prometheus', text)];
    const admin = this.#server('Ambit waypoint', [
      ...waypointRoutes({ ...this.#parts, xdsStatus: () => this.#parts.client.status() }),
      readinessRoute('/ready', this.readiness),
      ...metrics,
      loggingRoute(levels),
      ...profileRoutes(clock, () => this.#parts.workers.heaps),
    ]);
    await admin.listen(config.adminAddress);
    if (config.adminSocket !== '') {
      await admin.listen({ socketPath: config.adminSocket });
    }
    await this.#server('Ambit waypoint, metrics', metrics).listen(config.metricsAddress);
    const ready = readinessRoute('/healthz/ready', this.readiness);
    await this.#server('Ambit waypoint, readiness', [ready]).listen(config.readinessAddress);
  }

  /** `istio_xds_*`, and workers. */
  #controlSnapshot(): MetricsSnapshot {
    const { counters } = this.#parts.client;
    const counter = (
      name: string,
      help: string,
      label: string,
      values: Iterable<readonly [string, number]>,
    ) => ({
      name,
      help,
      type: 'counter',
      aggregator: 'sum',
      values: [...values].map(([key, value]) => ({ labels: { [label]: key }, value })),
    });
    return [
      counter(
        'istio_xds_connection_terminations_total',
        'The total number of completed connections to the controller',
        'reason',
        Object.entries(counters.terminations),
      ),
      counter(
        'istio_xds_message_total',
        'Total number of messages received',
        'url',
        counters.messages,
      ),
      counter(
        'istio_xds_message_bytes_total',
        'Total number of bytes received',
        'url',
        counters.messageBytes,
      ),
      counter(
        'ambit_workers_replaced_total',
        'Worker threads that ended and were replaced',
        'program',
        [['waypoint', this.#parts.workers.replacements]],
      ),
    ] as unknown as MetricsSnapshot;
  }

  #server(title: string, routes: readonly AdminRoute[]): AdminServer {
    const server = new AdminServer({ title, routes, log: this.#parts.log.scoped('admin') });
    this.#servers.push(server);
    return server;
  }
}
