/**
 * Sessions of HTTP/2 by whom they may serve: an endpoint, for a caller, under settings of the cluster. A group is forgotten when
 * nothing of it is left.
 *
 * Rule: nobody waits behind who came under other settings, whose places are others.
 */
import type { HttpError } from '../errors.ts';
import type { ClusterState } from './cluster-state.ts';
import type { PooledSession } from './http2-session.ts';
import type { Http2Try } from './http2-try.ts';
import type { UpstreamLink } from './message.ts';
import type { PlaceUser } from './places.ts';
import { moveOn, release, WaitingLine } from './waiting-line.ts';

/** Sessions to one endpoint for one caller, and who waits for one. */
export interface Group {
  readonly cluster: ClusterState;
  readonly key: string;
  readonly sessions: Set<PooledSession>;
  readonly waiting: Set<Http2Try>;
  /** Of the session that is being opened. */
  dial: AbortController | undefined;
  isServing: boolean;
}

/** One takes requests, if not now. */
export function hasOpenSession({ sessions }: Group): boolean {
  for (const session of sessions) {
    if (session.isOpen) {
      return true;
    }
  }
  return false;
}

export class SessionGroups {
  /** Who waits for a place of the cluster, not for a session of the group. */
  readonly placeless = new WaitingLine<Http2Try>();
  readonly #groups = new Map<ClusterState, Map<string, Group>>();

  get({ cluster, key }: UpstreamLink): Group | undefined {
    return this.#groups.get(cluster)?.get(key);
  }

  /** Makes it where there is none. */
  need(link: UpstreamLink): Group {
    const { cluster, key } = link;
    const known = this.get(link);
    if (known !== undefined) {
      return known;
    }
    const group: Group = {
      cluster,
      key,
      sessions: new Set(),
      waiting: new Set(),
      dial: undefined,
      isServing: false,
    };
    const ofCluster = this.#groups.get(cluster);
    if (ofCluster === undefined) {
      this.#groups.set(cluster, new Map([[key, group]]));
    } else {
      ofCluster.set(key, group);
    }
    return group;
  }

  /** A list of its own. */
  of(cluster: ClusterState): Group[] {
    return [...(this.#groups.get(cluster)?.values() ?? [])];
  }

  /** A list of its own. */
  all(): Group[] {
    return [...this.#groups.values()].flatMap((ofCluster) => [...ofCluster.values()]);
  }

  /** Those who wait for a place come first, of `user` or of another pool, and it is not their turn. */
  isBehindOthers({ cluster }: Group, user: PlaceUser): boolean {
    // Who stands behind them must hear of places too.
    cluster.places.join(user);
    const isTurn = this.placeless.isServing(cluster);
    return !isTurn && (this.placeless.has(cluster) || cluster.places.isWantedBesides(user));
  }

  waitsNoMore(group: Group, attempt: Http2Try): void {
    group.waiting.delete(attempt);
    this.placeless.delete(attempt);
    release(attempt);
  }

  /** All who wait. */
  refuse(group: Group, error: HttpError): void {
    for (const attempt of [...group.waiting]) {
      this.waitsNoMore(group, attempt);
      attempt.broke(error);
    }
  }

  /** Other settings hold: who waits does so under these, as many as may. The others are to be served again. */
  moveOn(group: Group): void {
    for (const attempt of [...group.waiting]) {
      this.placeless.delete(attempt);
      if (moveOn(attempt)) {
        group.waiting.delete(attempt);
        this.need(attempt.link).waiting.add(attempt);
      }
    }
  }

  forgetIfEmpty({ cluster, key, sessions, waiting, dial, isServing }: Group): void {
    if (sessions.size > 0 || waiting.size > 0 || dial !== undefined || isServing) {
      return;
    }
    const ofCluster = this.#groups.get(cluster);
    if (ofCluster?.delete(key) === true && ofCluster.size === 0) {
      this.#groups.delete(cluster);
    }
  }
}
