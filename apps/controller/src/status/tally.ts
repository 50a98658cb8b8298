/** What proxies have of one object, summed over the replicas that have their streams. */
import type { ObjectKey } from '@ambit/api';
import type { ReplicaAnswer } from '@ambit/xds';

import type { RemoteReplica } from '../replicas/remote-book.ts';
import type { ExpectedProxy } from '../serve/proxy-identity.ts';

/** Of each list of names. */
const NAMED_MAX = 5;

export interface Tally {
  inForce: number;
  waiting: number;
  waitingNames: string[];
  refused: number;
  refusals: string[];
}

/** Adds what a replica says. One that speaks of another version of the object has nothing of this one. */
export function addReplica(
  tally: Tally,
  replica: RemoteReplica,
  about: {
    readonly version: Pick<ReplicaAnswer, 'uid' | 'generation'> & { readonly key: ObjectKey };
    readonly waypoints: readonly string[];
  },
): void {
  const { version, waypoints } = about;
  const concerned = replica.proxies.filter(
    ({ kind, waypoint }) =>
      kind === 'node-agent' || (kind === 'waypoint' && waypoints.includes(waypoint ?? '')),
  );
  const answer = concerned.length === 0 ? undefined : replica.answer(version.key);
  if (answer?.generation !== version.generation || answer.uid !== version.uid) {
    tally.waiting += concerned.length;
    for (const { pod } of concerned) note(tally.waitingNames, pod.slice(pod.indexOf('/') + 1));
    return;
  }
  // It may count streams that have moved since.
  const refused = Math.min(answer.refused, concerned.length);
  const waiting = Math.min(answer.waiting, concerned.length - refused);
  tally.refused += refused;
  tally.waiting += waiting;
  tally.inForce += concerned.length - refused - waiting;
  for (const text of answer.refusals.slice(0, refused)) note(tally.refusals, text);
  for (const name of answer.waitingNames.slice(0, waiting)) note(tally.waitingNames, name);
}

/** Those that should be there and are not, and those of which nobody can tell; each once. */
export function awayOf(
  evaluation: {
    readonly unreachable: readonly ExpectedProxy[];
    readonly remote: readonly RemoteReplica[];
    /** Waypoints that have a stream. */
    readonly reached: ReadonlySet<string>;
  },
  waypoints: readonly string[],
): readonly string[] {
  const { unreachable, remote, reached } = evaluation;
  const pods = new Set(unreachable.map(({ pod }) => pod));
  const lost = remote
    .filter(({ isHeard }) => !isHeard)
    .flatMap(({ proxies }) => proxies)
    .filter(({ pod }) => !pods.has(`Pod/${pod}`));
  const named = [
    ...unreachable.map(({ kind, name }) => ({ kind, name, waypoint: name })),
    ...lost.map(({ kind, name, waypoint = '' }) => ({ kind, name, waypoint })),
  ];
  return [
    ...waypoints.filter((name) => !reached.has(name)).map((name) => `waypoint ${name}`),
    ...named
      .filter(
        ({ kind, waypoint }) =>
          kind === 'node-agent' ||
          (kind === 'waypoint' && waypoints.includes(waypoint) && reached.has(waypoint)),
      )
      .map(({ kind, name }) => `${kind} ${name}`),
  ];
}

/** Keeps the first few. */
export function note(list: string[], text: string): void {
  if (list.length < NAMED_MAX) list.push(text);
}

/** The first few of `count`. */
export function some(parts: readonly string[], count: number, separator = ', '): string {
  const shown = parts.slice(0, NAMED_MAX).join(separator);
  return count > NAMED_MAX ? `${shown} and ${count - NAMED_MAX} more` : shown;
}
