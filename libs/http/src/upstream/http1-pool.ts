/**
 * Connections to endpoints that carry one request at a time, kept for the next one.
 *
 * A new connection takes a place of the cluster's `maxConnections`; without one a request waits, as far as
 * `http1MaxPendingRequests` allows. An idle connection of another endpoint of the cluster gives its place up, in either pool.
 */
import type { Clock } from '@ambit/core';
import { type ByteConn, FINISHED } from '@ambit/proxy';
import type { HttpError } from '../errors.ts';
import { H1Refusals } from '../h1/errors.ts';
import type { H1Limits } from '../h1/limits.ts';
import { poolClosed } from './breaks.ts';
import type { ClusterState } from './cluster-state.ts';
import { connectFailure, overflow } from './failure.ts';
import { newPooledConnection, type PooledConnection } from './http1-connection.ts';
import { type Http1Host, Http1Try } from './http1-try.ts';
import { IdleConnections } from './idle-connections.ts';
import { current, type UpstreamLink } from './message.ts';
import type { PlaceUser } from './places.ts';
import { isOverdue, type OnSweepError, sweepEach, sweepUntil } from './sweeping.ts';
import type { Try, TryRequest, TrySink, UpgradePool, UpgradeRequest, UpgradeSink } from './try.ts';
import { hold, release, WaitingLine } from './waiting-line.ts';

export interface Http1PoolOptions {
  readonly clock: Clock;
  /** Idle connections kept, all endpoints together. */
  readonly idleMax: number;
  /** Of responses. */
  readonly limits?: Partial<H1Limits>;
  readonly onSweepError?: OnSweepError;
}

export interface Http1PoolCounters {
  opened: number;
  reused: number;
  /** Idle for too long, or one too many. */
  idleClosed: number;
  /** Requests sent again because the server had closed the idle connection. */
  repeated: number;
}

export class Http1Pool implements UpgradePool, Http1Host, PlaceUser {
  readonly counters: Http1PoolCounters = { opened: 0, reused: 0, idleClosed: 0, repeated: 0 };
  /** What was wrong with responses. */
  readonly refusals = new H1Refusals();
  readonly #clock: Clock;
  readonly #idleMax: number;
  readonly #limits: Partial<H1Limits>;
  readonly #onSweepError: OnSweepError | undefined;
  readonly #idle = new IdleConnections<PooledConnection>();
  readonly #all = new Set<PooledConnection>();
  readonly #waiting = new WaitingLine<Http1Try>();
  readonly #dialling = new Set<Http1Try>();
  readonly #stop = new AbortController();

  constructor(options: Http1PoolOptions) {
    this.#clock = options.clock;
    this.#idleMax = options.idleMax;
    this.#limits = options.limits ?? {};
    this.#onSweepError = options.onSweepError;
  }

  get idle(): number {
    return this.#idle.size;
  }

  /** Connections that are open, in use or not. */
  get size(): number {
    return this.#all.size;
  }

  async run(): Promise<void> {
    await sweepUntil(this.#stop.signal, {
      clock: this.#clock,
      sweep: (nowMs) => this.#sweep(nowMs),
      onError: this.#onSweepError,
    });
  }

  request(given: UpstreamLink, request: TryRequest, sink: TrySink): Try {
    const link = current(given);
    const attempt = new Http1Try({ host: this, link, request, sink });
    const pooled = this.#takeIdle(link);
    if (pooled === undefined) {
      this.#wait(attempt);
    } else {
      this.#begin(attempt, pooled);
    }
    return attempt;
  }

  upgrade(link: UpstreamLink, request: UpgradeRequest, sink: UpgradeSink): Try {
    const { protocol } = request;
    const bare = { ...request, body: undefined };
    const upgrade = { protocol, sink };
    const attempt = new Http1Try({ host: this, link, request: bare, sink, upgrade });
    this.#wait(attempt);
    return attempt;
  }

  destroy(): void {
    this.#stop.abort();
    for (const attempt of [...this.#waiting.all(), ...this.#dialling]) {
      this.leave(attempt);
      attempt.broke(poolClosed());
    }
    for (const { connection } of [...this.#all]) {
      connection.destroy();
      // What was handed over is the connection's no more.
      connection.conn.destroy();
    }
  }

  again(attempt: Http1Try): void {
    this.counters.repeated += 1;
    this.#wait(attempt);
  }

  leave(attempt: Http1Try): void {
    this.#waiting.delete(attempt);
    attempt.dial?.abort(FINISHED);
    release(attempt);
  }

  #wait(attempt: Http1Try): void {
    attempt.link = current(attempt.link);
    if (this.#stop.signal.aborted) {
      attempt.failLater(poolClosed());
    } else if (hold(attempt, this.#clock.now())) {
      this.#waiting.add(attempt);
      this.#serve(attempt.link.cluster);
    } else {
      attempt.failLater(overflow('pending requests'));
    }
  }

  /** A place or a connection of the cluster may have become free. */
  #serve(cluster: ClusterState): void {
    this.#waiting.serve(cluster, this.#serveOne);
  }

  /** False: neither a connection nor a place for one. */
  readonly #serveOne = (attempt: Http1Try): boolean => {
    const pooled = attempt.wantsNew ? undefined : this.#takeIdle(attempt.link);
    if (pooled !== undefined) {
      release(attempt);
      this.#begin(attempt, pooled);
      return true;
    }
    if (!attempt.link.cluster.places.hold(this)) {
      return false;
    }
    void this.#open(attempt);
    return true;
  };

  waitsSinceMs(cluster: ClusterState): number | undefined {
    return this.#waiting.sinceMs(cluster);
  }

  isWaiting(cluster: ClusterState): boolean {
    return this.#waiting.has(cluster);
  }

  placeFreed(cluster: ClusterState): void {
    this.#serve(cluster);
  }

  giveUpIdle(cluster: ClusterState): boolean {
    const idle = this.#idle.oneOf(cluster);
    idle?.connection.destroy();
    return idle !== undefined;
  }

  settingsChanged(from: ClusterState): void {
    for (const { link, connection } of this.#idle.all()) {
      if (link.cluster === from) {
        connection.destroy();
      }
    }
    this.#waiting.moveOn(from);
    this.#serve(from);
    this.#serve(from.newest);
  }

  /** The place is held. Never rejects. */
  async #open(attempt: Http1Try): Promise<void> {
    const { link } = attempt;
    const dial = new AbortController();
    attempt.dial = dial;
    this.#dialling.add(attempt);
    let pooled: PooledConnection | undefined;
    let failure: HttpError | undefined;
    try {
      // A request that is taken back by the very read that brought it costs no connection.
      await Promise.resolve();
      if (!dial.signal.aborted) {
        pooled = this.#adopt(await link.dial(dial.signal), link);
      }
    } catch (error) {
      failure = connectFailure(error);
    }
    this.#dialling.delete(attempt);
    attempt.dial = undefined;
    release(attempt);
    if (pooled === undefined) {
      link.cluster.places.release(this);
      attempt.broke(failure ?? poolClosed());
    } else if (attempt.phase === 'over') {
      this.#give(pooled);
    } else if (pooled.connection.isFree) {
      this.#begin(attempt, pooled);
    } else {
      attempt.broke(connectFailure(new Error('the connection was over before any request')));
    }
  }

  #adopt(conn: ByteConn, link: UpstreamLink): PooledConnection {
    const pooled = newPooledConnection(conn, link, {
      limits: this.#limits,
      refusals: this.refusals,
      onFree: () => this.#give(pooled),
      onClosed: () => this.#closed(pooled),
      onGone: () => this.#gone(pooled),
    });
    this.counters.opened += 1;
    this.#all.add(pooled);
    pooled.connection.start();
    return pooled;
  }

  #begin(attempt: Http1Try, pooled: PooledConnection): void {
    const { connection, link } = pooled;
    const usesMax = link.cluster.cluster.connectionPool.http?.maxRequestsPerConnection ?? 0;
    if (!attempt.begin(connection, usesMax > 0 && connection.uses + 1 >= usesMax)) {
      this.#give(pooled);
    }
  }

  /** Between two requests, or never used. */
  #give(pooled: PooledConnection): void {
    const { connection, link } = pooled;
    const isOver = this.#stop.signal.aborted || link.cluster.isReplaced;
    const isKept = connection.isFree && !isOver && this.#idleMax > 0;
    if (!isKept || link.cluster.places.isWantedBesides(this)) {
      connection.destroy();
      return;
    }
    if (this.#idle.size >= this.#idleMax && !this.#waiting.has(link.cluster)) {
      // Who was just served is more likely to come again.
      this.counters.idleClosed += 1;
      this.#idle.oldest()?.connection.destroy();
    }
    pooled.idleSinceMs = this.#clock.now();
    this.#idle.add(pooled);
    this.#serve(link.cluster);
  }

  /** One that was opened under other settings of the cluster counts in no limit of these: it is closed. */
  #takeIdle({ key, cluster }: UpstreamLink): PooledConnection | undefined {
    for (let pooled = this.#idle.take(key); pooled !== undefined; pooled = this.#idle.take(key)) {
      if (pooled.link.cluster === cluster && pooled.connection.isFree) {
        this.counters.reused += 1;
        return pooled;
      }
      pooled.connection.destroy();
    }
    return undefined;
  }

  /** It carries no more requests. What it became holds its place until that ends. */
  #closed(pooled: PooledConnection): void {
    this.#idle.drop(pooled);
    if (!pooled.connection.isHanded) {
      pooled.link.cluster.places.release(this);
    }
  }

  #gone(pooled: PooledConnection): void {
    this.#all.delete(pooled);
    if (pooled.connection.isHanded) {
      pooled.link.cluster.places.release(this);
    }
  }

  #sweep(nowMs: number): void {
    const lookAt = ({ connection, slowHead }: PooledConnection): void =>
      slowHead.look(connection, this.refusals, nowMs);
    const endOverdue = ({ connection, link, idleSinceMs }: PooledConnection): void => {
      if (isOverdue(link, nowMs - idleSinceMs)) {
        this.counters.idleClosed += 1;
        connection.destroy();
      }
    };
    sweepEach([...this.#all], lookAt, this.#onSweepError);
    sweepEach(this.#idle.all(), endOverdue, this.#onSweepError);
    this.#idle.forget();
  }
}
