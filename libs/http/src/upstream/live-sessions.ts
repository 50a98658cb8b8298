/**
 * Sessions of HTTP/2 that hold a place, of their cluster and among all of the pool, also those that take no more requests.
 *
 * Rule: a place is held from before the dial to the end of the session, and one that has no request gives its place up to whoever
 * needs it.
 */
import type { ClusterState } from './cluster-state.ts';
import type { PooledSession } from './http2-session.ts';
import type { PlaceUser } from './places.ts';
import { isOverdue } from './sweeping.ts';

export interface LiveSessionsOptions {
  readonly max: number;
  /** The pool. */
  readonly user: PlaceUser;
  /** It has lost its place and gets no more requests. */
  readonly onEvicted: (session: PooledSession) => void;
}

export class LiveSessions {
  /** How often there was no place for a session, whatever the cluster. */
  refused = 0;
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
      this.refused += 1;
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

  /** Where it has no request and another pool needs its place. Not within a call of the session, and after those who wait for it. */
  giveUpLater(session: PooledSession): void {
    if (this.#isBetterEnded(session)) {
      queueMicrotask(() => {
        if (this.#isBetterEnded(session)) {
          this.#evict(session);
        }
      });
    }
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
    this.#options.onEvicted(session);
  }
}
