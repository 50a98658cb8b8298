/**
 * Requests over HTTP/2 sessions to endpoints.
 *
 * A session takes as many streams as the peer and the cluster allow; beyond, another one is opened, one at a time for each
 * endpoint and caller. One that got GOAWAY takes no more and ends with its last stream. Where other callers have all places of
 * the cluster's `maxConnections`, a request waits until a session of theirs is idle or over.
 */
import type { Clock } from '@ambit/core';
import { type H2Counters, type H2Limits, MESH_LIMITS, newH2Counters } from '@ambit/h2';
import type { ByteConn } from '@ambit/proxy';
import type { HttpError } from '../errors.ts';
import { poolClosed } from './breaks.ts';
import type { ClusterState } from './cluster-state.ts';
import { connectFailure, overflow } from './failure.ts';
import { PooledSession } from './http2-session.ts';
import { type Http2Host, Http2Try } from './http2-try.ts';
import type { UpstreamLink } from './message.ts';
import { isOverdue, sweepUntil } from './sweeping.ts';
import type { Try, TryPool, TryRequest, TrySink } from './try.ts';
import { hold, release, WaitingLine } from './waiting-line.ts';

const MIB = 1024 * 1024;

/** Towards servers that the mesh knows and that are still anybody's programs. */
export const H2_UPSTREAM_LIMITS: H2Limits = {
  ...MESH_LIMITS,
  streamWindowBytesMax: MIB,
  connectionWindowBytes: 4 * MIB,
  heldBytesMax: 16 * MIB,
  sendBufferBytes: 64 * 1024,
};

export interface Http2PoolOptions {
  readonly clock: Clock;
  /** Sessions, all endpoints together. */
  readonly sessionsMax: number;
  readonly limits?: Partial<H2Limits>;
}

/** Sessions to one endpoint for one caller, and who waits for one. */
interface Group {
  readonly key: string;
  readonly sessions: Set<PooledSession>;
  readonly waiting: Set<Http2Try>;
  /** Of the session that is being opened. */
  dial: AbortController | undefined;
  isServing: boolean;
}

export class Http2Pool implements TryPool, Http2Host {
  /** Of all sessions together. */
  readonly counters: H2Counters = newH2Counters();
  /** How often there was no place for a session, whatever the cluster. */
  sessionsRefused = 0;
  interimsRefused = 0;
  /** Requests sent again because a server had processed nothing of them. */
  repeated = 0;
  readonly #clock: Clock;
  readonly #sessionsMax: number;
  readonly #limits: H2Limits;
  readonly #groups = new Map<string, Group>();
  /** That hold a place, also those that take no more requests. */
  readonly #live = new Set<PooledSession>();
  /** For a place of their cluster, not for a session of their own. */
  readonly #placeless = new WaitingLine<Http2Try>();
  /** Dials, each with a place of the cluster. */
  readonly #opening = new Map<Group, ClusterState>();
  readonly #stop = new AbortController();

  constructor(options: Http2PoolOptions) {
    this.#clock = options.clock;
    this.#sessionsMax = options.sessionsMax;
    this.#limits = { ...H2_UPSTREAM_LIMITS, ...options.limits };
  }

  /** Sessions, also those that only end what they carry. */
  get size(): number {
    return this.#live.size;
  }

  async run(): Promise<void> {
    await sweepUntil(this.#stop.signal, this.#clock, (nowMs) => this.#sweep(nowMs));
  }

  request(link: UpstreamLink, request: TryRequest, sink: TrySink): Try {
    const attempt = new Http2Try({ host: this, link, request, sink });
    const group = this.#groups.get(link.key);
    if (group === undefined || group.waiting.size > 0 || !this.#begin(group, attempt)) {
      // The group may have been forgotten with its last session, which had other settings.
      this.#wait(this.#groups.get(link.key) ?? this.#newGroup(link.key), attempt);
    }
    return attempt;
  }

  destroy(): void {
    this.#stop.abort();
    for (const group of [...this.#groups.values()]) {
      this.#refuse(group, [...group.waiting], poolClosed());
      group.dial?.abort();
    }
    for (const session of [...this.#live]) {
      session.destroy();
    }
  }

  /** Not within a call of the session that refused it, which may be the one to take it. */
  again(attempt: Http2Try): void {
    this.repeated += 1;
    queueMicrotask(() => {
      if (attempt.phase === 'waiting') {
        const { key } = attempt.link;
        this.#wait(this.#groups.get(key) ?? this.#newGroup(key), attempt);
      }
    });
  }

  leave(attempt: Http2Try): void {
    const group = this.#groups.get(attempt.link.key);
    if (group?.waiting.has(attempt) === true) {
      this.#waitsNoMore(group, attempt);
      this.#forgetIfEmpty(group);
    }
  }

  #waitsNoMore(group: Group, attempt: Http2Try): void {
    group.waiting.delete(attempt);
    this.#placeless.delete(attempt);
    release(attempt);
  }

  #newGroup(key: string): Group {
    const group: Group = {
      key,
      sessions: new Set(),
      waiting: new Set(),
      dial: undefined,
      isServing: false,
    };
    this.#groups.set(key, group);
    return group;
  }

  #forgetIfEmpty({ key, sessions, waiting, dial, isServing }: Group): void {
    if (sessions.size === 0 && waiting.size === 0 && dial === undefined && !isServing) {
      this.#groups.delete(key);
    }
  }

  /** False: none of the sessions takes it. */
  #begin(group: Group, attempt: Http2Try): boolean {
    for (const session of group.sessions) {
      // Opened under other settings of the cluster, it counts in no limit of these.
      if (session.isUseless || session.link.cluster !== attempt.link.cluster) {
        this.#retire(session);
      } else if (session.hasRoom && session.begin(attempt)) {
        if (!session.isOpen) {
          this.#retire(session);
        }
        return true;
      }
    }
    return false;
  }

  #wait(group: Group, attempt: Http2Try): void {
    if (this.#stop.signal.aborted) {
      attempt.failLater(poolClosed());
      this.#forgetIfEmpty(group);
    } else if (hold(attempt)) {
      group.waiting.add(attempt);
      this.#serve(group);
    } else {
      attempt.failLater(overflow('pending requests'));
      this.#forgetIfEmpty(group);
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
        this.#waitsNoMore(group, attempt);
      } else if (!this.#mayWait(group, attempt)) {
        break;
      }
    }
    group.isServing = false;
    this.#forgetIfEmpty(group);
  }

  /** No session has room: opens one, or waits for one, or refuses. False: nobody behind has better prospects. */
  #mayWait(group: Group, attempt: Http2Try): boolean {
    if (group.dial !== undefined) {
      return false;
    }
    const { cluster } = attempt.link;
    const lack = this.#holdPlace(cluster);
    if (lack === undefined) {
      void this.#open(group, attempt.link);
      return false;
    }
    // Room comes when a stream of these ends.
    for (const session of group.sessions) {
      if (session.isOpen && session.link.cluster === cluster) {
        return false;
      }
    }
    if (lack === 'connections' && this.#hasPlaces(cluster)) {
      this.#placeless.add(attempt);
      return false;
    }
    this.#waitsNoMore(group, attempt);
    attempt.failLater(overflow(lack));
    return true;
  }

  /** Some session of the cluster, of whatever caller, will give its place up. */
  #hasPlaces(cluster: ClusterState): boolean {
    for (const session of this.#live) {
      if (session.link.cluster === cluster) {
        return true;
      }
    }
    return [...this.#opening.values()].includes(cluster);
  }

  /** A place of the cluster may have become free. Not within a call of the session. */
  #servePlaceless(cluster: ClusterState): void {
    if (this.#placeless.has(cluster)) {
      queueMicrotask(() => this.#placeless.serve(cluster, this.#serveOne));
    }
  }

  /** False: there is still no place. */
  readonly #serveOne = (attempt: Http2Try): boolean => {
    const group = this.#groups.get(attempt.link.key);
    if (group === undefined) {
      return true;
    }
    this.#serve(group);
    return group.dial !== undefined || !group.waiting.has(attempt);
  };

  /** Of what there is too little for a new session. Undefined: its place is held. */
  #holdPlace(cluster: ClusterState): 'upstream sessions' | 'connections' | undefined {
    if (this.#live.size + this.#opening.size >= this.#sessionsMax && !this.#evictIdle()) {
      this.sessionsRefused += 1;
      return 'upstream sessions';
    }
    const { breaker } = cluster;
    if (breaker.hold('connections')) {
      return undefined;
    }
    const hasPlace = this.#evictIdle(cluster) && breaker.hold('connections');
    return hasPlace ? undefined : 'connections';
  }

  /** For all that wait: the place is held. Never rejects. */
  async #open(group: Group, link: UpstreamLink): Promise<void> {
    const dial = new AbortController();
    group.dial = dial;
    this.#opening.set(group, link.cluster);
    let session: PooledSession | undefined;
    let failure: unknown = new Error('the connection was over before any request');
    try {
      session = this.#adopt(await link.dial(dial.signal), link);
    } catch (error) {
      failure = error;
      link.cluster.breaker.release('connections');
    }
    group.dial = undefined;
    this.#opening.delete(group);
    if (session?.isOpen === true) {
      group.sessions.add(session);
    }
    if (session === undefined || !session.hasRoom) {
      const { cluster } = link;
      const waiting = [...group.waiting].filter((attempt) => attempt.link.cluster === cluster);
      this.#refuse(group, waiting, connectFailure(failure));
    }
    this.#serve(group);
    this.#servePlaceless(link.cluster);
  }

  #adopt(conn: ByteConn, link: UpstreamLink): PooledSession {
    const session = new PooledSession({
      conn,
      link,
      clock: this.#clock,
      limits: this.#limits,
      counters: this.counters,
      onRoom: () => {
        this.#serveLater(link.key);
        this.#servePlaceless(link.cluster);
      },
      onGoaway: (ending) => this.#retire(ending),
      onClosed: (ended) => {
        this.#free(ended);
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
  #serveLater(key: string): void {
    if ((this.#groups.get(key)?.waiting.size ?? 0) > 0) {
      queueMicrotask(() => {
        const group = this.#groups.get(key);
        if (group !== undefined) {
          this.#serve(group);
        }
      });
    }
  }

  #refuse(group: Group, attempts: readonly Http2Try[], error: HttpError): void {
    for (const attempt of attempts) {
      this.#waitsNoMore(group, attempt);
      attempt.broke(error);
    }
  }

  /** It gets no more requests, and ends with its last. */
  #retire(session: PooledSession): void {
    const { key } = session.link;
    session.drain();
    const group = this.#groups.get(key);
    if (group?.sessions.delete(session) === true) {
      this.#forgetIfEmpty(group);
      this.#serveLater(key);
    }
  }

  /** It holds a place no more. */
  #free(session: PooledSession): void {
    if (this.#live.delete(session)) {
      session.link.cluster.breaker.release('connections');
      this.#servePlaceless(session.link.cluster);
    }
  }

  /** `cluster` undefined: of any. */
  #evictIdle(cluster?: ClusterState): boolean {
    for (const session of this.#live) {
      if (session.isIdle && (cluster === undefined || session.link.cluster === cluster)) {
        this.#evict(session);
        return true;
      }
    }
    return false;
  }

  #evict(session: PooledSession): void {
    this.#free(session);
    this.#retire(session);
  }

  #sweep(nowMs: number): void {
    for (const session of [...this.#live]) {
      if (session.isIdle && isOverdue(session.link, session.idleMs(nowMs))) {
        this.#evict(session);
      }
    }
  }
}
