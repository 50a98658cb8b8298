/**
 * Places for connections of one cluster (`maxConnections`), over all pools that make some.
 *
 * Rule: a place that becomes free is offered to whoever waits, whichever pool that is, another one's first; and an idle connection
 * gives its place up to whoever needs one. One that is never idle may have to, when somebody has waited for long
 * (`live-sessions.ts`).
 */
import type { ClusterState } from './cluster-state.ts';

/** A pool, as its cluster sees it. */
export interface PlaceUser {
  /** Clock time since when the first has waited for whom others may have to end what they use. Undefined, or absent: there is none. */
  waitsSinceMs?(cluster: ClusterState): number | undefined;
  /** Somebody of it would take a place. */
  isWaiting(cluster: ClusterState): boolean;
  /** There may be a place now. Not within a call of its own. */
  placeFreed(cluster: ClusterState): void;
  /** Ends a connection that nobody uses. False: it has none. */
  giveUpIdle(cluster: ClusterState): boolean;
  /** Other settings than these hold now. Not within a call of its own. Absent: nothing of it waits, or is kept. */
  settingsChanged?(from: ClusterState): void;
}

export class Places {
  readonly #cluster: ClusterState;
  /** Each pool that has ever asked. */
  readonly #users = new Set<PlaceUser>();
  #held = 0;
  /** What is given up now is for who asked. */
  #isTaking = false;

  constructor(cluster: ClusterState) {
    this.#cluster = cluster;
  }

  /** Some are held: who waits for one will be told. */
  get areHeld(): boolean {
    return this.#held > 0;
  }

  /** Tells it of free places from now on. Idempotent. */
  join(user: PlaceUser): void {
    this.#users.add(user);
  }

  /** Until `release`. False: all are in use. */
  hold(user: PlaceUser): boolean {
    this.join(user);
    const isHeld = this.#cluster.breaker.hold('connections') || this.#takeIdle(user);
    if (isHeld) {
      this.#held += 1;
    }
    return isHeld;
  }

  release(user: PlaceUser): void {
    this.#held -= 1;
    this.#cluster.breaker.release('connections');
    if (!this.#isTaking && this.#isWanted()) {
      queueMicrotask(() => {
        for (const other of this.#users) {
          if (other !== user) {
            other.placeFreed(this.#cluster);
          }
        }
        user.placeFreed(this.#cluster);
      });
    }
  }

  /** Other settings hold now, with places of their own. */
  toSuccessor(): void {
    queueMicrotask(() => {
      for (const user of this.#users) {
        user.settingsChanged?.(this.#cluster);
      }
    });
  }

  /** In another pool somebody waits, so that a connection that this one only keeps is better ended. */
  isWantedBesides(user: PlaceUser): boolean {
    if (this.#users.size < 2) {
      return false;
    }
    for (const other of this.#users) {
      if (other !== user && other.isWaiting(this.#cluster)) {
        return true;
      }
    }
    return false;
  }

  /** `waitsSinceMs` of all pools. */
  get wantedSinceMs(): number | undefined {
    let firstMs: number | undefined;
    for (const user of this.#users) {
      const sinceMs = user.waitsSinceMs?.(this.#cluster);
      if (sinceMs !== undefined && (firstMs === undefined || sinceMs < firstMs)) {
        firstMs = sinceMs;
      }
    }
    return firstMs;
  }

  #isWanted(): boolean {
    for (const user of this.#users) {
      if (user.isWaiting(this.#cluster)) {
        return true;
      }
    }
    return false;
  }

  /** Its own first. What is given up may leave no place behind, so that the next one is asked. */
  #takeIdle(user: PlaceUser): boolean {
    this.#isTaking = true;
    let isHeld = this.#takeIdleOf(user);
    for (const other of this.#users) {
      isHeld ||= other !== user && this.#takeIdleOf(other);
    }
    this.#isTaking = false;
    return isHeld;
  }

  #takeIdleOf(user: PlaceUser): boolean {
    return user.giveUpIdle(this.#cluster) && this.#cluster.breaker.hold('connections');
  }
}
