/**
 * Sessions of HTTP/2 that hold a place, of their cluster and among all of the pool, also those that take no more requests.
 *
 * Rule: a place is held from before the dial to the end of the session, and one that has no request gives its place up to whoever
 * needs it. Where somebody has waited for long beside sessions that always have some, one of them, the cluster's only one at that
 * time, takes no requests for a while, and gives its place up when it has none. Requests without end would keep the place, and its
 * callers would wait for them too: if some do not end in that while it goes on, and is left alone as long as they last.
 * So whoever waits gets a place beside requests that end soon, whoever they belong to, and may wait for ever beside others; and
 * requests without end cost those of their own caller that while, once.
 */
import type { Clock } from '@ambit/core';
import type { ClusterState } from './cluster-state.ts';
import type { PooledSession } from './http2-session.ts';
import type { PlaceUser } from './places.ts';
import { isOverdue, type OnSweepError, sweepEach } from './sweeping.ts';

/** So long others wait for a session to become idle; then one takes no requests, so that it may. */
const PATIENCE_MS = 1_000;
/** So long it takes none. */
const PAUSE_MS = 3_000;
/** So long it is left alone after that, at least: requests a little longer than a pause would bring one pause after another. */
const REST_MS = 30_000;

export interface LiveSessionsOptions {
  readonly clock: Clock;
  readonly max: number;
  /** The pool. */
  readonly user: PlaceUser;
  /** The pool is over. */
  readonly stop: AbortSignal;
  /** It gets no more requests, and may have lost its place. */
  readonly onEnding: (session: PooledSession) => void;
  /** It takes requests again. Not within a call of the session. */
  readonly onResumed: (session: PooledSession) => void;
}

interface Pause {
  readonly session: PooledSession;
}

export interface SessionCounters {
  /** How often there was no place for a session, whatever the cluster. */
  refused: number;
  /** How often a session took no requests for a while because others had waited for a place of the cluster. */
  yielded: number;
}

export class LiveSessions {
  readonly counters: SessionCounters = { refused: 0, yielded: 0 };
  readonly #options: LiveSessionsOptions;
  readonly #sessions = new Set<PooledSession>();
  readonly #pauses = new Map<ClusterState, Pause>();
  /** Places of dials. */
  #opening = 0;

  constructor(options: LiveSessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A list of its own. */
  all(): PooledSession[] {
    return [...this.#sessions];
  }

  /** Of what there is too little for a new session. Undefined: its place is held, until `add` or `failed`. */
  hold({ places }: ClusterState): 'upstream sessions' | 'connections' | undefined {
    const { max, user } = this.#options;
    if (this.#sessions.size + this.#opening >= max && !this.#evictIdle()) {
      this.counters.refused += 1;
      return 'upstream sessions';
    }
    if (!places.hold(user)) {
      return 'connections';
    }
    this.#opening += 1;
    return undefined;
  }

  /** Its dial came to nothing. */
  failed({ places }: ClusterState): void {
    this.#opening -= 1;
    places.release(this.#options.user);
  }

  add(session: PooledSession): void {
    this.#opening -= 1;
    this.#sessions.add(session);
  }

  /** It holds a place no more. Idempotent. */
  free(session: PooledSession): void {
    if (this.#sessions.delete(session)) {
      const { cluster } = session.link;
      if (this.#pauses.get(cluster)?.session === session) {
        this.#pauses.delete(cluster);
      }
      cluster.places.release(this.#options.user);
    }
  }

  /** It takes a request now. */
  takes(session: PooledSession): boolean {
    return session.hasRoom && !this.#isPaused(session);
  }

  /** False: it has none. */
  giveUpIdle(cluster: ClusterState): boolean {
    return this.#evictIdle(cluster);
  }

  /**
   * Where it has no request and another pool needs its place: not within a call of the session, and after those who wait for it,
   * unless others have waited for long. True: its place is the other pool's.
   */
  giveUpLater(session: PooledSession): boolean {
    // Before those who wait for it, who could keep it from ever being idle.
    if (this.#mayPause(session)) {
      this.#pause(session);
    }
    if (this.#isBetterEnded(session)) {
      queueMicrotask(() => {
        if (this.#isBetterEnded(session)) {
          this.#evict(session);
        }
      });
      return true;
    }
    return false;
  }

  sweep(nowMs: number, onError: OnSweepError | undefined): void {
    const look = (session: PooledSession): void => {
      if (session.isIdle && isOverdue(session.link, session.idleMs(nowMs))) {
        this.#evict(session);
      } else {
        session.look(nowMs);
      }
    };
    sweepEach(this.all(), look, onError);
  }

  #isBetterEnded({ isIdle, link }: PooledSession): boolean {
    return isIdle && link.cluster.places.isWantedBesides(this.#options.user);
  }

  #isPaused(session: PooledSession): boolean {
    const { cluster } = session.link;
    if (this.#pauses.get(cluster)?.session !== session) {
      return false;
    }
    // Who waited may be served elsewhere, or gone.
    if (cluster.places.wantedSinceMs === undefined) {
      this.#pauses.delete(cluster);
      return false;
    }
    return true;
  }

  #mayPause(session: PooledSession): boolean {
    const { cluster } = session.link;
    const sinceMs = cluster.places.wantedSinceMs;
    if (sinceMs === undefined || this.#pauses.has(cluster)) {
      return false;
    }
    const nowMs = this.#options.clock.now();
    return nowMs - sinceMs >= PATIENCE_MS && session.mayPause(nowMs);
  }

  #pause(session: PooledSession): void {
    const { clock, stop } = this.#options;
    const pause = { session };
    this.counters.yielded += 1;
    this.#pauses.set(session.link.cluster, pause);
    clock.sleep(PAUSE_MS, stop, { ref: false }).then(
      () => this.#resume(pause),
      () => undefined,
    );
  }

  /** It has not become idle. */
  #resume(pause: Pause): void {
    const { session } = pause;
    const { cluster } = session.link;
    if (this.#pauses.get(cluster) !== pause) {
      return;
    }
    this.#pauses.delete(cluster);
    if (cluster.places.wantedSinceMs !== undefined) {
      session.rest(this.#options.clock.now() + REST_MS);
    }
    this.#options.onResumed(session);
  }

  /** `cluster` undefined: of any. */
  #evictIdle(cluster?: ClusterState): boolean {
    for (const session of this.#sessions) {
      if (session.isIdle && (cluster === undefined || session.link.cluster === cluster)) {
        this.#evict(session);
        return true;
      }
    }
    return false;
  }

  #evict(session: PooledSession): void {
    this.free(session);
    this.#options.onEnding(session);
  }
}
