/**
 * Connections to endpoints that carry one request at a time, kept for the next one.
 *
 * A new connection takes a place of the cluster's `maxConnections`; without one a request waits, as far as
 * `http1MaxPendingRequests` allows. An idle connection of another endpoint of the cluster gives its place up.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '@ambit/core';
import { duplexFromConn } from '@ambit/proxy';
import { withSocketMethods } from '../downstream/http1.ts';
import type { ClusterState } from './cluster-state.ts';
import { connectFailure, overflow } from './failure.ts';
import type { UpstreamLink } from './message.ts';

const SWEEP_MS = 10_000;
const IDLE_TIMEOUT_MS = 3_600_000;

export interface PooledSocket {
  readonly socket: Duplex;
  readonly link: UpstreamLink;
  /** Requests that it has carried, the current one included. */
  uses: number;
  idleSinceMs: number;
}

export interface SocketPoolCounters {
  opened: number;
  reused: number;
  idleClosed: number;
}

export class SocketPool {
  readonly #clock: Clock;
  readonly #idleMax: number;
  /** Most recently used last. */
  readonly #idle = new Map<string, PooledSocket[]>();
  readonly #all = new Set<PooledSocket>();
  readonly #waiters = new Map<ClusterState, Set<() => void>>();
  readonly #stop = new AbortController();
  #idleCount = 0;
  readonly counters: SocketPoolCounters = { opened: 0, reused: 0, idleClosed: 0 };

  constructor(options: { readonly clock: Clock; readonly idleMax: number }) {
    this.#clock = options.clock;
    this.#idleMax = options.idleMax;
  }

  get idle(): number {
    return this.#idleCount;
  }

  /** Begins to close connections that stay idle. Ends with `destroy`. */
  async run(): Promise<void> {
    try {
      for (;;) {
        await this.#clock.sleep(SWEEP_MS, this.#stop.signal);
        this.#sweep();
      }
    } catch {
      // Only `destroy` ends the sleep early.
    }
  }

  /** A connection for one request: an idle one, or a new one. Rejects with an HttpError. */
  async take(link: UpstreamLink, signal: AbortSignal, fresh = false): Promise<PooledSocket> {
    const known = fresh ? undefined : this.#takeIdle(link);
    if (known !== undefined) {
      known.uses += 1;
      this.counters.reused += 1;
      return known;
    }
    const { breaker } = link.cluster;
    if (!breaker.hold('pending')) {
      throw overflow('pending requests');
    }
    try {
      return (await this.#placeFor(link, signal)) ?? (await this.#open(link, signal));
    } finally {
      breaker.release('pending');
    }
  }

  /** Gives a connection back after a complete exchange. */
  give(pooled: PooledSocket): void {
    const { socket, link } = pooled;
    const usesMax = link.cluster.cluster.connectionPool.http?.maxRequestsPerConnection ?? 0;
    const isSpent = usesMax > 0 && pooled.uses >= usesMax;
    if (
      socket.destroyed ||
      isSpent ||
      this.#idleCount >= this.#idleMax ||
      this.#stop.signal.aborted
    ) {
      socket.destroy();
      return;
    }
    pooled.idleSinceMs = this.#clock.now();
    socket.on('data', destroyIdle);
    socket.on('end', destroyIdle);
    const list = this.#idle.get(link.key) ?? [];
    list.push(pooled);
    this.#idle.set(link.key, list);
    this.#idleCount += 1;
    this.#wake(link.cluster);
  }

  /** A connection outside the pool, for what does not give it back. Counts like the others. */
  async open(link: UpstreamLink, signal: AbortSignal): Promise<PooledSocket> {
    return await this.take(link, signal, true);
  }

  destroy(): void {
    this.#stop.abort();
    for (const pooled of [...this.#all]) {
      pooled.socket.destroy();
    }
  }

  /** Undefined: there is a place for a new connection, and it is held. */
  async #placeFor(link: UpstreamLink, signal: AbortSignal): Promise<PooledSocket | undefined> {
    const { breaker } = link.cluster;
    while (!breaker.hold('connections')) {
      this.#evictFrom(link.cluster);
      if (breaker.hold('connections')) {
        return undefined;
      }
      await this.#change(link.cluster, signal);
      const known = this.#takeIdle(link);
      if (known !== undefined) {
        known.uses += 1;
        return known;
      }
    }
    return undefined;
  }

  async #open(link: UpstreamLink, signal: AbortSignal): Promise<PooledSocket> {
    let socket: Duplex;
    try {
      socket = withSocketMethods(duplexFromConn(await link.dial(signal)));
    } catch (error) {
      this.#released(link.cluster);
      throw connectFailure(error);
    }
    this.counters.opened += 1;
    const pooled: PooledSocket = { socket, link, uses: 1, idleSinceMs: 0 };
    this.#all.add(pooled);
    socket.on('error', ignoreUntilClose);
    socket.once('close', () => {
      this.#all.delete(pooled);
      this.#dropIdle(pooled);
      this.#released(link.cluster);
    });
    return pooled;
  }

  /** One that was opened under other settings of the cluster counts in no limit of these: it is closed. */
  #takeIdle({ key, cluster }: UpstreamLink): PooledSocket | undefined {
    const list = this.#idle.get(key);
    for (let pooled = list?.pop(); pooled !== undefined; pooled = list?.pop()) {
      this.#idleCount -= 1;
      if (list?.length === 0) {
        this.#idle.delete(key);
      }
      const { socket } = pooled;
      socket.off('data', destroyIdle);
      socket.off('end', destroyIdle);
      const isOfThese = pooled.link.cluster === cluster;
      if (isOfThese && !socket.destroyed && socket.writable && !socket.readableEnded) {
        return pooled;
      }
      socket.destroy();
    }
    return undefined;
  }

  #dropIdle(pooled: PooledSocket): void {
    const list = this.#idle.get(pooled.link.key);
    const index = list?.indexOf(pooled) ?? -1;
    if (list !== undefined && index >= 0) {
      list.splice(index, 1);
      this.#idleCount -= 1;
      if (list.length === 0) {
        this.#idle.delete(pooled.link.key);
      }
    }
  }

  #evictFrom(cluster: ClusterState): void {
    for (const list of this.#idle.values()) {
      const pooled = list.find((candidate) => candidate.link.cluster === cluster);
      if (pooled !== undefined) {
        this.#dropIdle(pooled);
        pooled.socket.destroy();
        return;
      }
    }
  }

  #sweep(): void {
    const nowMs = this.#clock.now();
    for (const list of [...this.#idle.values()]) {
      for (const pooled of [...list]) {
        const { http, tcp } = pooled.link.cluster.cluster.connectionPool;
        const limitMs = http?.idleTimeoutMs ?? tcp?.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
        if (limitMs > 0 && nowMs - pooled.idleSinceMs >= limitMs) {
          this.counters.idleClosed += 1;
          pooled.socket.destroy();
        }
      }
    }
  }

  #released(cluster: ClusterState): void {
    cluster.breaker.release('connections');
    this.#wake(cluster);
  }

  #wake(cluster: ClusterState): void {
    const waiters = this.#waiters.get(cluster);
    this.#waiters.delete(cluster);
    for (const wake of waiters ?? []) {
      wake();
    }
  }

  /** Resolves when a place or a connection of the cluster may have become free. */
  async #change(cluster: ClusterState, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiters = this.#waiters.get(cluster) ?? new Set<() => void>();
    waiters.add(resolve);
    this.#waiters.set(cluster, waiters);
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      waiters.delete(resolve);
    }
  }
}

/** An idle peer that speaks or ends has nothing to say to the next request. */
function destroyIdle(this: Duplex): void {
  this.destroy();
}

/** `close` follows and is what counts. */
function ignoreUntilClose(): void {}
