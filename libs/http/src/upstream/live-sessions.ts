/**
 * Sessions of HTTP/2 that hold a place, of their cluster and among all of the pool, also those that take no more requests.
 *
 * Rule: a place is held from before the dial to the end of the session, and one that has no request gives its place up to whoever
 * needs it. One that always has some takes no more when others have waited for its place for long, and ends with its last.
 */
import type { Clock } from '@ambit/core';
import type { ClusterState } from './cluster-state.ts';
import type { PooledSession } from './http2-session.ts';
import type { PlaceUser } from './places.ts';
import { isOverdue } from './sweeping.ts';

export interface LiveSessionsOptions {
  readonly clock: Clock;
  readonly max: number;
  /** The pool. */
  readonly user: PlaceUser;
  /** It gets no more requests, and may have lost its place. */
  readonly onEnding: (session: PooledSession) => void;
}

export interface SessionCounters {
  /** How often there was no place for a session, whatever the cluster. */
  refused: number;
  /** Sessions that took no more requests because others had waited for a place of the cluster. */
  yielded: number;
}

export class LiveSessions {
  readonly counters: SessionCounters = { refused: 0, yielded: 0 };
  readonly #options: LiveSessionsOptions;
  readonly #sessions = new Set<PooledSession>();
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
      session.link.cluster.places.release(this.#options.user);
    }
  }

  /** False: it has none. */
  giveUpIdle(cluster: ClusterState): boolean {
    return this.#evictIdle(cluster);
  }

  /**
   * Where it has no request and another pool needs its place, or others have waited for long. Not within a call of the session, and
   * after those who wait for it. True: its place is the other pool's.
   */
  giveUpLater(session: PooledSession): boolean {
    if (this.#isBetterEnded(session)) {
      queueMicrotask(() => {
        if (this.#isBetterEnded(session)) {
          this.#evict(session);
        }
      });
      return true;
    }
    if (this.#yields(session)) {
      this.counters.yielded += 1;
      queueMicrotask(() => this.#options.onEnding(session));
    }
    return false;
  }

  sweep(nowMs: number): void {
    for (const session of this.all()) {
      if (session.isIdle && isOverdue(session.link, session.idleMs(nowMs))) {
        this.#evict(session);
      } else {
        session.look(nowMs);
      }
    }
  }

  #isBetterEnded({ isIdle, link }: PooledSession): boolean {
    return isIdle && link.cluster.places.isWantedBesides(this.#options.user);
  }

  #yields(session: PooledSession): boolean {
    const { places } = session.link.cluster;
    return session.isOpen && places.yields(this.#options.clock, () => this.#isSpare(session));
  }

  /** Another one of its cluster takes requests, or none is ending, so that streams without end cannot stop all of them. */
  #isSpare({ link }: PooledSession): boolean {
    let open = 0;
    let ending = 0;
    for (const session of this.#sessions) {
      if (session.link.cluster === link.cluster) {
        open += session.isOpen ? 1 : 0;
        ending += session.isOpen ? 0 : 1;
      }
    }
    return open > 1 || ending === 0;
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
