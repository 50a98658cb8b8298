/**
 * Puts the controller together: source, store, resources, streams, statuses, waypoints, CA, admin.
 *
 * The order of `start` is the point: nothing is served before the first complete load, so that no proxy
 * ever takes an empty mesh for the truth.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '@ambit/core';
import type { CertificateAuthority } from '@ambit/identity';
import type { AdminController, ObjectStatus } from '@ambit/model';
import {
  AdminServer,
  createRegistry,
  type Logger,
  type LogLevels,
  loggingRoute,
  metricsRoute,
  profileRoutes,
  Readiness,
  readinessRoute,
  registerProcessMetrics,
  registryText,
} from '@ambit/telemetry';
import {
  ControlPlaneServer,
  DeltaServer,
  type DeltaServerEvent,
  loadContentHash,
  TYPE_URL,
} from '@ambit/xds';

import { objectRoutes } from './admin/object-routes.ts';
import { proxyRoutes } from './admin/proxy-routes.ts';
import {
  IssuedCertificates,
  openAuthority,
  publishRoot,
  ServingRenewal,
  tokenVerifier,
} from './authority.ts';
import type { ControllerConfig } from './config.ts';
import { Captures } from './index/captures.ts';
import { MeshStore } from './index/mesh-store.ts';
import { ObjectPodIndex } from './index/pod-index.ts';
import { type ControllerMetrics, createMetrics, shortType } from './metrics.ts';
import { maxFds, openFds } from './process-limits.ts';
import { ManagedFolder } from './provision/managed-folder.ts';
import { ModelResources } from './serve/model-resources.ts';
import { ProxyTable } from './serve/proxy-table.ts';
import type { ConfigSource, SourceChange } from './source/config-source.ts';
import { DirectorySource } from './source/directory-source.ts';
import { Enforcement } from './status/enforcement.ts';
import { Generations } from './status/generations.ts';
import { StateFile } from './status/state-file.ts';
import { StatusBook } from './status/status-book.ts';

export const VERSION = '0.1.0';

export interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly levels: LogLevels;
}

export class Controller {
  readonly #config: ControllerConfig;
  readonly #around: Surroundings;
  readonly #parts: Parts;
  readonly #stopping = new AbortController();
  readonly #startedAtMs: number;

  private constructor(config: ControllerConfig, around: Surroundings, parts: Parts) {
    this.#config = config;
    this.#around = around;
    this.#parts = parts;
    this.#startedAtMs = around.clock.wallNow();
  }

  /** Opens the CA and reads what an earlier process left. Nothing is served yet. */
  static async create(config: ControllerConfig, around: Surroundings): Promise<Controller> {
    await mkdir(join(config.stateDir, 'managed'), { recursive: true });
    return new Controller(config, around, await buildParts(config, around));
  }

  /** Resolves when ready, with the port of the control plane. */
  async start(): Promise<number> {
    const { log, clock } = this.#around;
    const { readiness, source, delta, authority, certificates, verifier } = this.#parts;
    const loading = readiness.hold('configuration');
    const opening = readiness.hold('control plane');
    this.#wireEvents();
    await this.#listenAdmin();
    await source.start((change) => this.#apply(change));
    loading[Symbol.dispose]();
    log.info('configuration loaded', { objects: this.#parts.store.objects.size });
    const renewal = new ServingRenewal({ authority, config: this.#config, clock, log });
    const server = new ControlPlaneServer({
      delta,
      verifier,
      certificates,
      serving: renewal.issue(),
    });
    this.#parts.closers.push(
      () => renewal.stop(),
      () => server.stop(),
    );
    const port = await server.listen(this.#config.xdsAddress);
    renewal.start((serving) => server.setServing(serving));
    authority.onChange(() => void this.#publishRoot(authority));
    void authority.watch({
      signal: this.#stopping.signal,
      onError: (error) => log.error('the CA folder cannot be used', { error }),
    });
    opening[Symbol.dispose]();
    log.info('serving', { port });
    return port;
  }

  /** Idempotent. Streams end, files are flushed. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const { source, statuses, managed, generationsFile, pendingFile, admins, closers } =
      this.#parts;
    await source.stop();
    for (const close of closers) close();
    await managed.stop();
    await statuses.stop();
    await Promise.all([generationsFile.flush(), pendingFile.flush()]);
    await Promise.all(admins.map((admin) => admin.stop()));
  }

  #apply(change: SourceChange): void {
    const { clock } = this.#around;
    const { store, metrics, generations, generationsFile } = this.#parts;
    const before = clock.now();
    const upserts = change.upserts.map((object) => generations.stamp(object));
    for (const key of change.removes) generations.forget(key);
    store.apply({ ...change, upserts });
    generationsFile.write(() => generations.save());
    metrics.batches.inc();
    metrics.applySeconds.observe((clock.now() - before) / 1000);
  }

  /** Everything that follows from a change of the model, in the order in which it must follow. */
  #wireEvents(): void {
    const { store, pods, captures, proxies, resources, enforcement } = this.#parts;
    const { statuses, managed, pendingFile } = this.#parts;
    store.onChange(({ delta, causes }) => {
      for (const key of causes) {
        pods.update(key);
        proxies.updatePod(key);
      }
      enforcement.note(causes, delta);
      resources.update(store.model.outputs, delta);
      managed.set(store.model.outputs.waypoints);
      pendingFile.write(() => [...store.model.pending].sort());
      statuses.touch();
      const captured = captures.update(causes, this.#config.clusterId);
      if (captured.add.length + captured.remove.length > 0) store.apply({ captured });
    });
  }

  async #listenAdmin(): Promise<void> {
    const { log, clock, levels } = this.#around;
    const { readiness, registry, store, statuses, proxies, issued, resources, admins } =
      this.#parts;
    const open = [
      readinessRoute('/ready', readiness),
      readinessRoute('/healthz/ready', readiness),
      metricsRoute('/metrics', registryText(registry)),
    ];
    const routes = [
      ...open,
      loggingRoute(levels),
      ...profileRoutes(clock),
      ...objectRoutes({ store, statuses, wallNow: () => clock.wallNow() }),
      ...proxyRoutes({
        config: this.#config,
        proxies,
        issued,
        resources,
        controller: () => this.#describe(),
      }),
    ];
    const admin = new AdminServer({ title: 'ambit controller', routes, log });
    const metrics = new AdminServer({ title: 'ambit controller metrics', routes: open, log });
    admins.push(admin, metrics);
    await admin.listen({ socketPath: this.#config.adminSocket });
    await metrics.listen(this.#config.metricsAddress);
    if (this.#config.adminAddress !== undefined) await admin.listen(this.#config.adminAddress);
  }

  #describe(): AdminController {
    const { store, statuses, authority } = this.#parts;
    const [root] = authority.describe().rootCerts;
    return {
      version: VERSION,
      nowMs: this.#around.clock.wallNow(),
      startedAtMs: this.#startedAtMs,
      changedAtMs: store.changedAtMs,
      trustDomain: this.#config.trustDomain,
      objects: store.objects.size,
      refused: statuses.refused,
      root: { notAfterMs: Date.parse(root?.expirationTime ?? '') || 0 },
    };
  }

  async #publishRoot(authority: CertificateAuthority): Promise<void> {
    try {
      await publishRoot(authority, this.#config.stateDir);
    } catch (error) {
      this.#around.log.error('the new root cannot be written', { error });
    }
  }
}

type Parts = Awaited<ReturnType<typeof buildParts>>;

async function buildParts(config: ControllerConfig, { clock, log }: Surroundings) {
  const wallNow = (): number => clock.wallNow();
  const stateFile = <T>(name: string): StateFile<T> =>
    new StateFile<T>({ path: join(config.stateDir, name), clock, log: log.scoped('state') });
  const generationsFile = stateFile<ReturnType<Generations['save']>>('generations.json');
  const pendingFile = stateFile<readonly string[]>('pending.json');
  const statusFile = stateFile<readonly ObjectStatus[]>('status.json');
  const generations = new Generations();
  generations.restore(await generationsFile.read());
  await statusFile.read();
  const store = new MeshStore(
    {
      trustDomain: config.trustDomain,
      rootNamespace: config.rootNamespace,
      clusterDomain: config.clusterDomain,
      clusterId: config.clusterId,
      network: config.network,
    },
    { pending: textList(await pendingFile.read()), wallNow },
  );
  const authority = await openAuthority(config, clock);
  const pods = new ObjectPodIndex(store.objects);
  const captures = new Captures(store.objects);
  const resources = new ModelResources(await loadContentHash());
  const trustedNodeAccounts = new Set(config.trustedNodeAccounts);
  const proxies = new ProxyTable({
    objects: store.objects,
    trustedNodeAccounts,
    wallNow,
    capturedOf: (node) => captures.of(node),
    waypointOf: (node) => resources.waypointOf(node),
  });
  const enforcement = new Enforcement({
    outputs: () => store.model.outputs,
    generation: (key) => store.objects.get(key)?.metadata.generation ?? 0,
    version: (typeUrl, name, node) => resources.version(typeUrl, name, node),
    streams: () => proxies.streams,
    unreachable: () => proxies.unreachable(),
    waypointOf: (node) => resources.waypointOf(node),
  });
  const statuses = new StatusBook({
    clock,
    outputs: () => store.model.outputs,
    enforcement,
    file: statusFile,
  });
  const registry = createRegistry();
  registerProcessMetrics(registry, { component: 'controller', version: VERSION, openFds, maxFds });
  const metrics = createMetrics(registry, {
    objects: () => store.objects.size,
    refusedObjects: () => statuses.refused,
    streams: () => proxies.streams.length,
    unreachable: () => proxies.unreachable().length,
    refusedClaims: () => captures.refused,
    resources: () => resources.counts(),
  });
  const issued = new IssuedCertificates(wallNow);
  const delta = new DeltaServer({
    clock,
    source: resources,
    onEvent: (event) => {
      proxies.onEvent(event);
      onStreamEvent(event, { captures, store, metrics, log: log.scoped('xds') });
      statuses.touch();
    },
  });
  const verifier = tokenVerifier(config, clock);
  const caLog = log.scoped('ca');
  const certificates = {
    verifier,
    authority,
    index: pods,
    trustedNodeAccounts,
    onEvent: (
      event: Parameters<
        NonNullable<ConstructorParameters<typeof ControlPlaneServer>[0]['certificates']['onEvent']>
      >[0],
    ) => {
      if (event.kind === 'issued') {
        issued.note(event);
        metrics.certificatesIssued.inc();
        return;
      }
      metrics.certificatesRefused.inc();
      const { requestedIdentity, reason, caller } = event;
      caLog.warn('certificate refused', { requestedIdentity, reason, caller: caller?.pod.name });
    },
  };
  const source: ConfigSource = new DirectorySource({
    folders: config.configDirs,
    clock,
    log: log.scoped('source'),
  });
  const managed = new ManagedFolder({
    folder: join(config.stateDir, 'managed'),
    clock,
    log: log.scoped('provision'),
  });
  const admins: AdminServer[] = [];
  const closers: (() => void)[] = [];
  return {
    readiness: new Readiness(),
    registry,
    store,
    pods,
    captures,
    resources,
    proxies,
    enforcement,
    statuses,
    metrics,
    issued,
    delta,
    verifier,
    certificates,
    authority,
    source,
    managed,
    generations,
    generationsFile,
    pendingFile,
    admins,
    closers,
  };
}

function onStreamEvent(
  event: DeltaServerEvent,
  to: {
    readonly captures: Captures;
    readonly store: MeshStore;
    readonly metrics: ControllerMetrics;
    readonly log: Logger;
  },
): void {
  const { stream } = event;
  const proxy = stream.node?.id ?? `${stream.caller.namespace}/${stream.caller.pod.name}`;
  switch (event.kind) {
    case 'opened':
    case 'closed':
      to.log.info(`stream ${event.kind}`, { proxy });
      return;
    case 'sent':
      to.metrics.pushes.inc({ type: shortType(event.typeUrl) });
      to.log.debug('pushed', {
        proxy,
        type: event.typeUrl,
        resources: event.resources,
        removed: event.removed,
      });
      return;
    case 'refused':
      to.metrics.refusals.inc({ type: shortType(event.typeUrl) });
      to.log.warn('proxy refused', { proxy, type: event.typeUrl, message: event.message });
      return;
    case 'subscribed':
      if (event.typeUrl === TYPE_URL.capture && stream.node?.type === 'ztunnel') {
        const uids = stream.types.get(TYPE_URL.capture)?.names ?? new Set<string>();
        const captured = to.captures.claim(stream.node.nodeName, uids);
        if (captured.add.length + captured.remove.length > 0) to.store.apply({ captured });
      }
      return;
    case 'acknowledged':
      return;
  }
}

function textList(json: unknown): readonly string[] {
  return Array.isArray(json) ? json.filter((item) => typeof item === 'string') : [];
}
