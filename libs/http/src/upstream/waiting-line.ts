/**
 * Tries that wait for a connection or for a place for one, by cluster: first come, first served.
 *
 * A try counts in `http1MaxPendingRequests` of its cluster from `hold` to `release`, also while its own dial goes on.
 */
import type { ClusterState } from './cluster-state.ts';
import { current, type UpstreamLink } from './message.ts';

export interface Waiting {
  /** Others where settings of the cluster changed while it waited. */
  link: UpstreamLink;
  /** It counts among those that wait. */
  isPending: boolean;
  /** Clock time at which it began to. */
  waitsSinceMs: number;
}

/** False: as many wait as may. */
export function hold(attempt: Waiting, nowMs: number): boolean {
  attempt.waitsSinceMs = nowMs;
  attempt.isPending = attempt.link.cluster.breaker.hold('pending');
  return attempt.isPending;
}

/** Idempotent. */
export function release(attempt: Waiting): void {
  if (attempt.isPending) {
    attempt.isPending = false;
    attempt.link.cluster.breaker.release('pending');
  }
}

/** Waits on under the settings that hold now. False: as many wait there as may, and it goes on waiting where it is. */
export function moveOn(attempt: Waiting): boolean {
  const link = current(attempt.link);
  if (!link.cluster.breaker.hold('pending')) {
    return false;
  }
  release(attempt);
  attempt.link = link;
  attempt.isPending = true;
  return true;
}

export class WaitingLine<Attempt extends Waiting> {
  readonly #lines = new Map<ClusterState, Set<Attempt>>();
  /** What a turn of `serve` itself sets free, it sees. */
  readonly #serving = new Set<ClusterState>();

  /** It is their turn. */
  isServing(cluster: ClusterState): boolean {
    return this.#serving.has(cluster);
  }

  has(cluster: ClusterState): boolean {
    return this.#lines.has(cluster);
  }

  /** Since when who came first has waited. Undefined: nobody waits. */
  sinceMs(cluster: ClusterState): number | undefined {
    const [first] = this.#lines.get(cluster) ?? [];
    return first?.waitsSinceMs;
  }

  add(attempt: Attempt): void {
    const { cluster } = attempt.link;
    const line = this.#lines.get(cluster);
    if (line === undefined) {
      this.#lines.set(cluster, new Set([attempt]));
    } else {
      line.add(attempt);
    }
  }

  /** False: it did not stand here. */
  delete(attempt: Attempt): boolean {
    const { cluster } = attempt.link;
    const line = this.#lines.get(cluster);
    const stoodHere = line?.delete(attempt) === true;
    if (stoodHere && line.size === 0 && !this.#serving.has(cluster)) {
      this.#lines.delete(cluster);
    }
    return stoodHere;
  }

  /** Other settings hold: they wait under these, as many as may. */
  moveOn(from: ClusterState): void {
    for (const attempt of [...(this.#lines.get(from) ?? [])]) {
      this.delete(attempt);
      moveOn(attempt);
      this.add(attempt);
    }
  }

  /** A list of its own. */
  all(): Attempt[] {
    return [...this.#lines.values()].flatMap((line) => [...line]);
  }

  /** Calls `serveOne` for one after another, until it says that there is nothing for them. */
  serve(cluster: ClusterState, serveOne: (attempt: Attempt) => boolean): void {
    const line = this.#lines.get(cluster);
    if (line === undefined || this.#serving.has(cluster)) {
      return;
    }
    this.#serving.add(cluster);
    for (const attempt of line) {
      if (!serveOne(attempt)) {
        break;
      }
      line.delete(attempt);
    }
    this.#serving.delete(cluster);
    if (line.size === 0) {
      this.#lines.delete(cluster);
    }
  }
}
