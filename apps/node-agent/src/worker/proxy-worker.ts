/**
 * One complete proxy: pods, mesh, certificates and policies of this node, driven by messages alone.
 *
 * It runs in a worker thread or, in tests, in-process; it knows neither. What it is told it applies at
 * once, and says `applied` only after every open connection was judged again.
 */
import { lookup } from 'node:dns/promises';

import { type Clock, forgetKeepsakes } from '@ambit/core';
import { threadBoundMetrics } from '@ambit/hbone';
import { RevocationLists, type RevocationState, revocationsOf } from '@ambit/identity';
import { createLogger, describeError, LogLevels, type LogSink } from '@ambit/telemetry';

import { CertificateStore } from './certificates.ts';
import type { WorkerConfig } from './config.ts';
import { WorkerError } from './errors.ts';
import { MeshState, type ResourcesMessage } from './mesh-state.ts';
import type { CapturedPod, FromWorker, ToWorker } from './messages.ts';
import type { WorkerContext } from './pod-context.ts';
import { PodProxy } from './pod-proxy.ts';
import type { OpenPodSockets } from './pod-sockets.ts';
import { TcpMetrics } from './tcp-metrics.ts';
import { WorkerCounters } from './worker-counters.ts';

export interface ProxyWorkerOptions {
  readonly config: WorkerConfig;
  readonly clock: Clock;
  readonly sink: LogSink;
  readonly openSockets: OpenPodSockets;
  readonly post: (message: FromWorker) => void;
  /** The address of a name. Default: as the node resolves it. */
  readonly lookup?: WorkerContext['lookup'];
}

export class ProxyWorker {
  readonly #options: ProxyWorkerOptions;
  readonly #context: WorkerContext;
  readonly #metrics: TcpMetrics;
  readonly #pods = new Map<string, PodProxy>();
  /** Released pods whose connections go on. */
  readonly #released = new Set<PodProxy>();
  readonly #counters = new WorkerCounters();
  #podMessages: Promise<void> = Promise.resolve();
  #isDraining = false;

  constructor(options: ProxyWorkerOptions) {
    this.#options = options;
    const { config, clock, sink } = options;
    const { limits } = config;
    const levels = new LogLevels(config.logSpec);
    const logger = createLogger({
      scope: 'access',
      levels,
      sink,
      wallNow: () => clock.wallNow(),
    });
    this.#metrics = new TcpMetrics({ seriesMax: limits.seriesMax });
    this.#context = {
      config,
      clock,
      mesh: new MeshState({
        clusterId: config.clusterId,
        network: config.network,
        clock,
        waitMs: limits.workloadWaitMs,
      }),
      certificates: new CertificateStore({
        clock,
        waitMs: limits.workloadWaitMs,
        onEnded: forgetKeepsakes,
        onError: (cause) =>
          logger.error('the end of a certificate could not be told', {
            error: describeError(cause),
          }),
      }),
      log: logger,
      policyLog: logger.scoped('policy'),
      record: { clock, metrics: this.#metrics, log: logger },
      lookup: options.lookup ?? (async (hostname) => (await lookup(hostname)).address),
    };
  }

  /** Never throws: what goes wrong is answered or logged. */
  receive(message: ToWorker): void {
    this.#handle(message).catch((error: unknown) => {
      this.#context.log.error('a message to the worker failed', { kind: message.kind, error });
    });
  }

  /** A line of debug in the worker's log, for what its sockets meet. */
  note(message: string, fields: Readonly<Record<string, unknown>>): void {
    this.#context.log.debug(message, fields);
  }

  /** Everything ends now. Idempotent. */
  destroy(): void {
    const reason = new WorkerError('WORKER_POD_GONE', 'the agent stops');
    this.#context.certificates.stop();
    for (const proxy of [...this.#pods.values(), ...this.#released]) {
      proxy.kill(reason);
    }
    this.#pods.clear();
    this.#released.clear();
  }

  async #handle(message: ToWorker): Promise<void> {
    const { certificates } = this.#context;
    switch (message.kind) {
      case 'resources':
        this.#apply(message);
        return;
      case 'certificate':
        certificates.set(message.material);
        forgetKeepsakes();
        this.#recheckRoots(message.material.identity);
        return;
      case 'certificate-unavailable':
        certificates.setUnavailable(message.identity, message.reason);
        forgetKeepsakes();
        // For nobody's sake but the key's: its servers let go of it.
        this.#recheckRoots(message.identity);
        return;
      case 'certificate-forgotten':
        certificates.forget(message.identity);
        forgetKeepsakes();
        return;
      case 'revocations':
        this.#revoked(message.state);
        return;
      case 'pod-added':
        await this.#inOrder(async () => await this.#addPod(message.pod));
        return;
      case 'pod-removed':
        await this.#inOrder(() => this.#removePod(message.uid, message.mode));
        return;
      case 'drain':
        await this.#drainAll(message.deadlineMs);
        return;
      case 'report':
        this.#options.post({ kind: 'report', id: message.id, value: this.#report(message.what) });
        return;
    }
  }

  /** One pod message after the other: a removal must find the pod whose start is under way. */
  async #inOrder(step: () => Promise<void> | void): Promise<void> {
    const done = this.#podMessages.then(step);
    this.#podMessages = done.catch(() => undefined);
    await done;
  }

  /** With the certificate its bundle came, which may have lost a root. */
  #recheckRoots(identity: string): void {
    let sessions = 0;
    this.#eachPod('sessions could not be looked at under new roots', (proxy) => {
      sessions += proxy.recheckRoots();
    });
    if (sessions > 0) {
      const what = 'sessions take nothing new: their root is trusted no longer';
      this.#context.log.warn(what, { identity, sessions });
    }
  }

  /** Lists that cannot be applied: nobody new is taken. */
  #revoked(state: RevocationState): void {
    const { certificates, log } = this.#context;
    try {
      certificates.revocations = revocationsOf(state);
    } catch (cause) {
      const error = describeError(cause);
      certificates.revocations = RevocationLists.unusable(error);
      log.error('the revocation lists cannot be applied', { error });
    }
    const what = 'sessions could not be looked at under new revocation lists';
    this.#eachPod(what, (proxy) => proxy.recheckClients());
    this.#eachPod(what, (proxy) => proxy.recheckServers());
  }

  /** What fails at one pod is no other's. */
  #eachPod(failure: string, step: (proxy: PodProxy) => void): void {
    for (const proxy of [...this.#pods.values(), ...this.#released]) {
      try {
        step(proxy);
      } catch (cause) {
        const { uid, namespace, name } = proxy.pod;
        const error = describeError(cause);
        this.#context.log.error(failure, { uid, pod: `${namespace}/${name}`, error });
      }
    }
  }

  #apply(message: ResourcesMessage): void {
    const errors: string[] = [];
    try {
      this.#context.mesh.apply(message);
    } catch (error) {
      errors.push(describeError(error));
    }
    // Also after an error: what could be applied is in force for open connections as for new ones.
    for (const proxy of [...this.#pods.values(), ...this.#released]) {
      proxy.reevaluate();
    }
    this.#options.post({ kind: 'applied', sequence: message.sequence, errors });
  }

  async #addPod(pod: CapturedPod): Promise<void> {
    const { post, openSockets } = this.#options;
    let proxy: PodProxy | undefined;
    try {
      if (this.#isDraining) {
        throw new WorkerError('WORKER_DRAINED', 'the worker drains');
      }
      proxy = new PodProxy(pod, this.#context, openSockets);
      await proxy.start();
    } catch (error) {
      proxy?.kill(new WorkerError('WORKER_POD_GONE', 'the listeners of the pod failed'));
      post({ kind: 'pod-started', uid: pod.uid, error: describeError(error) });
      return;
    }
    const before = this.#pods.get(pod.uid);
    this.#pods.set(pod.uid, proxy);
    if (before !== undefined) {
      this.#release(before);
    }
    this.#counters.started += 1;
    post({ kind: 'pod-started', uid: pod.uid });
  }

  #removePod(uid: string, mode: 'release' | 'kill'): void {
    const proxy = this.#pods.get(uid);
    if (proxy === undefined) {
      return;
    }
    this.#pods.delete(uid);
    this.#counters.stopped += 1;
    if (mode === 'kill') {
      proxy.kill(new WorkerError('WORKER_POD_GONE', 'the pod is gone'));
      this.#counters.retire(proxy);
      forgetKeepsakes();
      return;
    }
    this.#release(proxy);
  }

  #release(proxy: PodProxy): void {
    this.#released.add(proxy);
    this.#endReleased(proxy).catch((error: unknown) => {
      this.#context.log.error('a released pod could not be closed', { uid: proxy.pod.uid, error });
    });
  }

  async #endReleased(proxy: PodProxy): Promise<void> {
    await proxy.release();
    if (this.#released.delete(proxy)) {
      this.#counters.retire(proxy);
      forgetKeepsakes();
    }
  }

  async #drainAll(deadlineMs: number): Promise<void> {
    const { clock } = this.#context;
    // Pods that were told of before it have listening descriptors: whoever is refused now would leave them open, with nobody accepting.
    await this.#podMessages;
    this.#isDraining = true;
    const all = [...this.#pods.values(), ...this.#released];
    const stop = new AbortController();
    const deadline = clock.sleep(deadlineMs, stop.signal).catch(() => undefined);
    await Promise.race([deadline, Promise.all(all.map(async (proxy) => await proxy.release()))]);
    stop.abort();
    const cutOff = all.flatMap(({ rows }) => [
      ...rows.inbound.map(({ src, originalDst }) => `inbound ${src} -> ${originalDst}`),
      ...rows.outbound.map(({ src, originalDst }) => `outbound ${src} -> ${originalDst}`),
    ]);
    const reason = new WorkerError('WORKER_DRAINED', 'connection closed due to connection drain');
    for (const proxy of all) {
      proxy.kill(reason);
    }
    this.#pods.clear();
    this.#released.clear();
    this.#options.post({ kind: 'drained', cutOff: cutOff.slice(0, CUT_OFF_NAMES_MAX) });
  }

  #report(what: 'metrics' | 'connections'): unknown {
    if (what === 'metrics') {
      const pods = [...this.#pods.values(), ...this.#released];
      return this.#metrics.snapshot(
        {
          ...this.#counters.read(pods),
          ambit_log_lines_dropped_total: this.#options.sink.dropped ?? 0,
          ...threadBoundMetrics(),
        },
        this.#counters.families(pods),
      );
    }
    return Object.fromEntries(
      [...this.#pods].map(([uid, proxy]) => [
        uid,
        {
          state: 'Up',
          connections: proxy.rows,
          info: {
            name: proxy.pod.name,
            namespace: proxy.pod.namespace,
            serviceAccount: proxy.pod.serviceAccount,
          },
        },
      ]),
    );
  }
}

/** Names in the `drained` message; the log has the rest. */
const CUT_OFF_NAMES_MAX = 100;
