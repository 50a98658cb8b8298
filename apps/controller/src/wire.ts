/**
 * Puts the controller together: source, store, resources, streams, statuses, waypoints, CA, admin.
 *
 * The order of `start` is the point: nothing is served before the first complete load, so that no proxy
 * ever takes an empty mesh for the truth.
 */
import { type AdminController, DEFAULT_REVISION, keyOf } from '@ambit/model';
import {
  AdminServer,
  loggingRoute,
  metricsRoute,
  profileRoutes,
  readinessRoute,
  registryText,
} from '@ambit/telemetry';
import { ControlPlaneServer } from '@ambit/xds';

import { caRoutes } from './admin/ca-routes.ts';
import { objectRoutes } from './admin/object-routes.ts';
import { proxyRoutes } from './admin/proxy-routes.ts';
import { ServingRenewal } from './authority.ts';
import type { ControllerConfig } from './config.ts';
import { buildParts, type Parts, type Surroundings } from './parts.ts';
import type { Platform } from './platform.ts';
import type { SourceChange } from './source/config-source.ts';
import { Intake } from './source/intake.ts';
import { VERSION } from './version.ts';

/** For a replica that starts to be told what the others know. */
const REPLICAS_MS_MAX = 5_000;

export class Controller {
  readonly #config: ControllerConfig;
  readonly #around: Surroundings;
  readonly #platform: Platform;
  readonly #parts: Parts;
  readonly #stopping = new AbortController();
  readonly #admins: AdminServer[] = [];
  readonly #closers: (() => void)[] = [];
  readonly #startedAtMs: number;
  /** Held until everything was read for the first time. */
  #loading: Disposable | undefined;
  /** What keeps the source from reading. */
  #problems: readonly string[] = [];

  private constructor(
    config: ControllerConfig,
    around: Surroundings,
    { platform, parts }: { readonly platform: Platform; readonly parts: Parts },
  ) {
    this.#config = config;
    this.#around = around;
    this.#platform = platform;
    this.#parts = parts;
    this.#startedAtMs = around.clock.wallNow();
  }

  /** Opens the CA and reads what an earlier process left. Nothing is served yet. */
  static async create(config: ControllerConfig, around: Surroundings): Promise<Controller> {
    const platform = await openPlatform(config, around);
    const parts = await buildParts(config, platform, around);
    return new Controller(config, around, { platform, parts });
  }

  /** Resolves when ready, with the port of the control plane; 0 if it was stopped before. */
  async start(): Promise<number> {
    const { log, clock } = this.#around;
    const { readiness, delta, authority, certificates, verifier, store, replicas } = this.#parts;
    const { metrics } = this.#parts;
    const { source, waypoints } = this.#platform;
    const opening = readiness.hold('control plane');
    this.#wireEvents();
    await this.#listenAdmin();
    this.#loading = readiness.hold('configuration');
    await this.#platform.open((problems) => this.#setProblems(problems));
    if (this.#stopping.signal.aborted) return 0;
    const intake = new Intake({
      apply: (change) => this.#apply(change),
      objects: store.objects,
      source,
      clock,
      log: log.scoped('source'),
      onRefused: () => metrics.unusable.inc(),
    });
    this.#closers.push(() => intake.stop());
    await source.start(
      (change) => intake.take(change),
      (problems) => this.#setProblems(problems),
    );
    if (this.#stopping.signal.aborted) return 0;
    this.#loading[Symbol.dispose]();
    this.#loading = undefined;
    waypoints.set(store.model.outputs.waypoints);
    log.info('configuration loaded', { objects: store.objects.size });
    const renewal = new ServingRenewal({ authority, config: this.#config, clock, log });
    const server = new ControlPlaneServer({
      delta,
      verifier,
      certificates,
      serving: renewal.issue(),
      ...(replicas === undefined ? {} : { replicas: replicas.service }),
    });
    this.#closers.push(
      () => renewal.stop(),
      () => server.stop(),
    );
    const port = await server.listen(this.#config.xdsAddress);
    renewal.start((serving) => server.setServing(serving));
    await this.#hearReplicas();
    this.#presumeCaptures();
    await this.#platform.run(this.#parts, this.#stopping.signal);
    opening[Symbol.dispose]();
    log.info('serving', { port });
    return port;
  }

  /** Idempotent. Streams end, files are flushed. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const { statuses, generationsFile, pendingFile, issued, captures, capturedFile } = this.#parts;
    const { bypasses, reports, replicas, store } = this.#parts;
    await this.#platform.source.stop();
    captures.stop();
    bypasses.stop();
    reports.stop();
    store.stop();
    await replicas?.stop();
    for (const close of this.#closers) close();
    await this.#platform.waypoints.stop();
    await this.#platform.stop();
    await statuses.stop();
    await Promise.all([
      generationsFile.flush(),
      pendingFile.flush(),
      issued.flush(),
      capturedFile.flush(),
    ]);
    await Promise.all(this.#admins.map((admin) => admin.stop()));
  }

  /** Before any proxy comes: what agents of other replicas have captured is published here too. */
  async #hearReplicas(): Promise<void> {
    const { replicas } = this.#parts;
    if (replicas === undefined) return;
    const { log } = this.#around;
    replicas.start();
    const { signal } = this.#stopping;
    const isHeard = await replicas
      .settled({ timeoutMs: REPLICAS_MS_MAX, signal })
      .catch(() => true); // stopping
    if (!isHeard) log.warn('other replicas do not answer; what only they know is unknown here');
  }

  /**
   * Where nobody remembers what agents hold, nobody may be told to send in clear what was captured: until its agent has spoken, a pod
   * that could be captured is dialled as one that is.
   */
  #presumeCaptures(): void {
    const { kubernetes, podsWaitForAgent } = this.#config;
    const { store, captures, reports } = this.#parts;
    if (kubernetes === undefined || podsWaitForAgent) return;
    reports.take({ captured: captures.presume(store.model.pending) });
  }

  /** Readiness says them, and with it whoever asks why nothing is served. */
  #setProblems(problems: readonly string[]): void {
    this.#problems = problems;
    const before = this.#loading;
    if (before === undefined) return;
    const why = problems.length === 0 ? '' : `: ${problems.join('; ')}`;
    this.#loading = this.#parts.readiness.hold(`configuration${why}`);
    before[Symbol.dispose]();
  }

  /** As a whole, or not at all: what throws has changed nothing. */
  #apply(change: SourceChange): void {
    const { clock } = this.#around;
    const { store, metrics, generations, generationsFile, captures } = this.#parts;
    const before = clock.now();
    const upserts = change.upserts.map((object) => generations.stamp(object));
    const captured = { add: captures.namedOf(upserts, this.#config.clusterId) };
    store.apply({ ...change, upserts, captured });
    const written = new Set(upserts.map(keyOf));
    for (const key of change.removes) if (!written.has(key)) generations.forget(key);
    generationsFile.write(() => generations.save());
    metrics.batches.inc();
    metrics.applySeconds.observe((clock.now() - before) / 1000);
  }

  /** Everything that follows from a change of the model, in the order in which it must follow. */
  #wireEvents(): void {
    const { store, pods, captures, proxies, resources, enforcement } = this.#parts;
    const { statuses, pendingFile, bypasses, reports } = this.#parts;
    store.inspectWith((delta) => resources.prepare(store.model.live, delta));
    // Each by itself: what one of them cannot follow is not lost to the others.
    store.onChange(({ causes }) => {
      for (const key of causes) {
        pods.update(key);
        proxies.updatePod(key);
      }
    });
    store.onChange(({ delta, causes }) => {
      enforcement.note(causes, delta);
      statuses.touch();
    });
    store.onChange(({ delta }) => resources.update(store.model.live, delta));
    store.onChange(({ delta }) => {
      // What is known before all was read lacks pods, and so waypoints that run.
      if (this.#loading === undefined) this.#platform.waypoints.set(store.model.outputs.waypoints);
      pendingFile.write(() => [...store.model.pending].sort());
      statuses.touch([...delta.statuses.changed, ...delta.statuses.removed]);
    });
    store.onChange(() => reports.noteChange());
    store.onChange(({ causes }) => reports.take({ bypassed: bypasses.update(causes) }));
    store.onChange(({ causes }) => {
      reports.take({ captured: captures.update(causes, this.#config.clusterId) });
    });
  }

  async #listenAdmin(): Promise<void> {
    const { log, clock, levels, registry } = this.#around;
    const { readiness, store, statuses, proxies, issued, resources, replicas } = this.#parts;
    const ready = [
      readinessRoute('/ready', readiness),
      readinessRoute('/healthz/ready', readiness),
    ];
    const open = [...ready, metricsRoute('/metrics', registryText(registry))];
    const routes = [
      ...open,
      loggingRoute(levels),
      ...profileRoutes(clock),
      ...caRoutes(this.#platform.caRotation(this.#parts)),
      ...objectRoutes({
        ...{ store, statuses },
        proxies: () => proxies.list(),
        wallNow: () => clock.wallNow(),
      }),
      ...proxyRoutes({
        config: this.#config,
        proxies,
        issued,
        resources,
        controller: () => this.#describe(),
        ...(replicas === undefined ? {} : { replicas: () => replicas.describe() }),
      }),
    ];
    const admin = new AdminServer({ title: 'ambit controller', routes, log });
    const metrics = new AdminServer({ title: 'ambit controller metrics', routes: open, log });
    const status = new AdminServer({ title: 'ambit controller readiness', routes: ready, log });
    this.#admins.push(admin, metrics, status);
    await admin.listen({ socketPath: this.#config.adminSocket });
    const { metricsAddress, statusAddress, adminAddress } = this.#config;
    if (statusAddress !== undefined) await status.listen(statusAddress);
    if (metricsAddress !== undefined) await metrics.listen(metricsAddress);
    if (adminAddress === undefined) return;
    try {
      await admin.listen(adminAddress);
    } catch (error) {
      log.warn('the loopback admin address is taken; the socket serves the same', { error });
    }
  }

  #describe(): AdminController {
    const { store, statuses, authority } = this.#parts;
    const [root] = authority.describe().rootCerts;
    return {
      version: VERSION,
      revision: store.options.revision ?? DEFAULT_REVISION,
      nowMs: this.#around.clock.wallNow(),
      startedAtMs: this.#startedAtMs,
      changedAtMs: store.changedAtMs,
      trustDomain: this.#config.trustDomain,
      objects: store.objects.size,
      refused: statuses.refused,
      root: { notAfterMs: Date.parse(root?.expirationTime ?? '') || 0 },
      problems: this.#problems.map((problem) =>
        this.#loading === undefined
          ? `${problem}; its objects stay as they were`
          : `${problem}; nothing is served until it can be read`,
      ),
    };
  }
}

/** The parts of the other platform are not loaded. */
async function openPlatform(config: ControllerConfig, around: Surroundings): Promise<Platform> {
  const { kubernetes } = config;
  if (kubernetes !== undefined) {
    const { openKubernetes } = await import('./kubernetes/platform.ts');
    return await openKubernetes(config, kubernetes, around);
  }
  const { openStandalone } = await import('./standalone/platform.ts');
  return await openStandalone(config, around);
}
