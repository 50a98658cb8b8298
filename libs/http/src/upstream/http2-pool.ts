/**
 * Requests over HTTP/2 sessions to endpoints.
 *
 * A session takes as many streams as the peer and the cluster allow; beyond, another one is opened, one at a time for each
 * endpoint and caller. One that got GOAWAY takes no more and ends with its last stream. Where all places of the cluster's
 * `maxConnections` are taken, a request waits until a connection of others, callers or HTTP/1, is idle or over, and who has no
 * session comes before who has a full one.
 */
import type { Clock } from '@ambit/core';
import { type H2Counters, type H2Limits, newH2Counters } from '@ambit/h2';
import type { ByteConn } from '@ambit/proxy';
import { poolClosed } from './breaks.ts';
import type { ClusterState } from './cluster-state.ts';
import { connectFailure, overflow } from './failure.ts';
import { H2_UPSTREAM_LIMITS } from './http2-limits.ts';
import { PooledSession } from './http2-session.ts';
import { type Http2Host, Http2Try } from './http2-try.ts';
import { LiveSessions, type SessionCounters } from './live-sessions.ts';
import { current, type UpstreamLink } from './message.ts';
import type { PlaceUser } from './places.ts';
import { type Group, hasOpenSession, SessionGroups } from './session-groups.ts';
import { type OnSweepError, sweepUntil } from './sweeping.ts';
import type { Try, TryPool, TryRequest, TrySink } from './try.ts';
import { hold } from './waiting-line.ts';

export interface Http2PoolOptions {
  readonly clock: Clock;
  /** Sessions, all endpoints together. */
  readonly sessionsMax: number;
  readonly limits?: Partial<H2Limits>;
  readonly onSweepError?: OnSweepError;
}

export class Http2Pool implements TryPool, Http2Host, PlaceUser {
  /** Of all sessions together. */
  readonly counters: H2Counters = newH2Counters();
  interimsRefused = 0;
  /** Requests sent again because a server had processed nothing of them. */
  repeated = 0;
  readonly #clock: Clock;
  readonly #limits: H2Limits;
  readonly #groups = new SessionGroups();
  readonly #live: LiveSessions;
  readonly #onSweepError: OnSweepError | undefined;
  readonly #stop = new AbortController();

  constructor(options: Http2PoolOptions) {
    this.#clock = options.clock;
    this.#limits = { ...H2_UPSTREAM_LIMITS, ...options.limits };
    this.#onSweepError = options.onSweepError;
    this.#live = new LiveSessions({
      max: options.sessionsMax,
      user: this,
      clock: this.#clock,
      stop: this.#stop.signal,
      onEnding: (session) => this.#retire(session),
      onResumed: ({ link }) => this.#serveLater(link),
    });
  }

  /** Sessions, also those that only end what they carry. */
  get size(): number {
    return this.#live.size;
  }

  get sessions(): Readonly<SessionCounters> {
    return this.#live.counters;
  }

  async run(): Promise<void> {
    const onError = this.#onSweepError;
    await sweepUntil(this.#stop.signal, {
      clock: this.#clock,
      sweep: (nowMs) => this.#live.sweep(nowMs, onError),
      onError,
    });
  }

  request(given: UpstreamLink, request: TryRequest, sink: TrySink): Try {
    const link = current(given);
    const attempt = new Http2Try({ host: this, link, request, sink });
    const group = this.#groups.get(link);
    if (group === undefined || group.waiting.size > 0 || !this.#begin(group, attempt)) {
      this.#wait(attempt);
    }
    return attempt;
  }

  destroy(): void {
    this.#stop.abort();
    for (const group of this.#groups.all()) {
      this.#groups.refuse(group, poolClosed());
      group.dial?.abort();
    }
    for (const session of this.#live.all()) {
      session.destroy();
    }
  }

  /** Not within a call of the session that refused it, which may be the one to take it. */
  again(attempt: Http2Try): void {
    this.repeated += 1;
    queueMicrotask(() => {
      if (attempt.phase === 'waiting') {
        this.#wait(attempt);
      }
    });
  }

  leave(attempt: Http2Try): void {
    const group = this.#groups.get(attempt.link);
    if (group?.waiting.has(attempt) === true) {
      if (this.#groups.waitsNoMore(group, attempt)) {
        this.#serveLater(attempt.link);
      }
      this.#groups.forgetIfEmpty(group);
    }
  }

  /** False: none of the sessions takes it. */
  #begin(group: Group, attempt: Http2Try): boolean {
    for (const session of group.sessions) {
      if (session.isUseless) {
        this.#retire(session);
      } else if (this.#live.takes(session) && session.begin(attempt)) {
        if (!session.isOpen) {
          this.#retire(session);
        }
        return true;
      }
    }
    return false;
  }

  #wait(attempt: Http2Try): void {
    attempt.link = current(attempt.link);
    if (this.#stop.signal.aborted) {
      attempt.failLater(poolClosed());
    } else if (hold(attempt, this.#clock.now())) {
      // The group may have been forgotten with its last session.
      const group = this.#groups.need(attempt.link);
      group.waiting.add(attempt);
      this.#serve(group);
    } else {
      attempt.failLater(overflow('pending requests'));
    }
  }

  /** First come, first served. */
  #serve(group: Group): void {
    if (group.isServing) {
      return;
    }
    group.isServing = true;
    for (const attempt of group.waiting) {
      if (this.#begin(group, attempt)) {
        this.#groups.waitsNoMore(group, attempt);
      } else if (!this.#mayWait(group, attempt)) {
        break;
      }
    }
    group.isServing = false;
    this.#groups.forgetIfEmpty(group);
  }

  /** No session has room: opens one, or waits for one, or refuses. False: nobody behind has better prospects. */
  #mayWait(group: Group, attempt: Http2Try): boolean {
    if (group.dial !== undefined) {
      return false;
    }
    const { cluster } = attempt.link;
    const isBehind = this.#groups.isBehindOthers(group, this);
    const lack = isBehind ? 'connections' : this.#live.hold(cluster);
    if (lack === undefined) {
      this.#groups.crowded.delete(attempt);
      void this.#open(group, attempt.link);
      return false;
    }
    const { placeless, crowded } = this.#groups;
    if (hasOpenSession(group)) {
      // Room comes when a stream of these ends, if no place comes before.
      this.#groups.standIn(crowded, attempt);
      return false;
    }
    if (isBehind || (lack === 'connections' && cluster.places.areHeld)) {
      this.#groups.standIn(placeless, attempt);
      return false;
    }
    this.#groups.waitsNoMore(group, attempt);
    attempt.failLater(overflow(lack));
    return true;
  }

  waitsSinceMs(cluster: ClusterState): number | undefined {
    return this.#groups.placeless.sinceMs(cluster);
  }

  isWaiting(cluster: ClusterState): boolean {
    return this.#groups.isWaiting(cluster);
  }

  placeFreed(cluster: ClusterState): void {
    const { placeless, crowded } = this.#groups;
    placeless.serve(cluster, this.#serveOne);
    if (!placeless.has(cluster)) {
      crowded.serve(cluster, this.#serveOne);
    }
  }

  /** Sessions of other settings count in no limit of these, and none waits for their places who may wait for these. */
  settingsChanged(from: ClusterState): void {
    for (const group of this.#groups.of(from)) {
      for (const session of [...group.sessions]) {
        this.#retire(session);
      }
      this.#groups.moveOn(group);
      this.#serve(group);
    }
    for (const group of this.#groups.of(from.newest)) {
      this.#serve(group);
    }
  }

  giveUpIdle(cluster: ClusterState): boolean {
    return this.#live.giveUpIdle(cluster);
  }

  /** A place of the cluster may have become free. Not within a call of the session. */
  #servePlaceless(cluster: ClusterState): void {
    if (this.isWaiting(cluster)) {
      queueMicrotask(() => this.placeFreed(cluster));
    }
  }

  /** False: there is still no place. */
  readonly #serveOne = (attempt: Http2Try): boolean => {
    const group = this.#groups.get(attempt.link);
    if (group === undefined) {
      return true;
    }
    this.#serve(group);
    return group.dial !== undefined || !group.waiting.has(attempt);
  };

  /** For all that wait: the place is held. Never rejects. */
  async #open(group: Group, link: UpstreamLink): Promise<void> {
    const dial = new AbortController();
    group.dial = dial;
    let session: PooledSession | undefined;
    let failure: unknown = new Error('the connection was over before any request');
    try {
      session = this.#adopt(await link.dial(dial.signal), link);
    } catch (error) {
      failure = error;
      this.#live.failed(link.cluster);
    }
    group.dial = undefined;
    if (session?.isOpen === true) {
      group.sessions.add(session);
    }
    if (session === undefined || !session.hasRoom) {
      this.#groups.refuse(group, connectFailure(failure));
    }
    this.#serve(group);
    if (session !== undefined && link.cluster.isReplaced) {
      this.#retire(session);
    }
    this.#servePlaceless(link.cluster);
  }

  #adopt(conn: ByteConn, link: UpstreamLink): PooledSession {
    const session = new PooledSession({
      conn,
      link,
      clock: this.#clock,
      limits: this.#limits,
      counters: this.counters,
      onRoom: (session) => {
        this.#serveLater(link);
        if (!this.#live.giveUpLater(session) && session.isIdle) {
          this.#servePlaceless(link.cluster);
        }
      },
      onGoaway: (ending) => this.#retire(ending),
      onClosed: (ended) => {
        this.#live.free(ended);
        this.#retire(ended);
      },
    });
    this.#live.add(session);
    if (this.#stop.signal.aborted) {
      session.destroy();
    }
    return session;
  }

  /** Not within a call of the session. */
  #serveLater(link: UpstreamLink): void {
    if ((this.#groups.get(link)?.waiting.size ?? 0) > 0) {
      queueMicrotask(() => {
        const group = this.#groups.get(link);
        if (group !== undefined) {
          this.#serve(group);
        }
      });
    }
  }

  /** It gets no more requests, and ends with its last. */
  #retire(session: PooledSession): void {
    const { link } = session;
    session.drain();
    const group = this.#groups.get(link);
    if (group?.sessions.delete(session) === true) {
      this.#groups.forgetIfEmpty(group);
      this.#serveLater(link);
    }
  }
}
