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
  /** Who waits for a place of the cluster, the first of each group that has no session. */
  readonly placeless = new WaitingLine<Http2Try>();
  /** The first of each group whose sessions are full. It takes a place too, where nobody of the others waits for one. */
  readonly crowded = new WaitingLine<Http2Try>();
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

  /** It stands for its group in one line. */
  standIn(line: WaitingLine<Http2Try>, attempt: Http2Try): void {
    const other = line === this.placeless ? this.crowded : this.placeless;
    other.delete(attempt);
    line.add(attempt);
  }

  isWaiting(cluster: ClusterState): boolean {
    return this.placeless.has(cluster) || this.crowded.has(cluster);
  }

  /** True: it stood for its group in a line, where another one is to stand now. */
  waitsNoMore(group: Group, attempt: Http2Try): boolean {
    group.waiting.delete(attempt);
    release(attempt);
    return this.#standDown(attempt);
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
      this.#standDown(attempt);
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

  #standDown(attempt: Http2Try): boolean {
    const stoodInOne = this.placeless.delete(attempt);
    return this.crowded.delete(attempt) || stoodInOne;
  }
}
