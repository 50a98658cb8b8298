/** The proxies as they are asked for one evaluation: those that have everything, those that may not, those elsewhere. */
import { type DeltaServerEvent, type StreamView, TYPE_URL, type XdsNode } from '@ambit/xds';

import type { RemoteReplica } from '../replicas/remote-book.ts';
import { type AskedStream, hasEverything } from './stream-answer.ts';

export interface AskedStreams {
  /** How many have everything: of agents under '', of waypoints under their names. */
  readonly settled: ReadonlyMap<string, number>;
  readonly unsettled: readonly (AskedStream & { readonly waypoint: string | undefined })[];
  /** With the proxies that have no newer stream here. */
  readonly remote: readonly RemoteReplica[];
  /** Waypoints that have a stream, anywhere. */
  readonly reached: ReadonlySet<string>;
}

const ENFORCED_TYPES: ReadonlySet<string> = new Set([
  TYPE_URL.authorization,
  TYPE_URL.address,
  TYPE_URL.object,
]);

/** Whether a proxy asks for other things, rather than answers. Who is asked is for `whoIsAsked` to tell. */
export function changesWhatIsAsked(event: DeltaServerEvent): boolean {
  return event.kind === 'subscribed' && ENFORCED_TYPES.has(event.typeUrl);
}

/** The streams, each with the waypoint that it is of: also that changes, with a Gateway's account. */
export function whoIsAsked(options: {
  readonly streams: () => readonly StreamView[];
  readonly waypointOf: (node: XdsNode) => string | undefined;
}): readonly string[] {
  return options.streams().map(({ id, node }) => {
    const waypoint = node?.type === 'waypoint' ? options.waypointOf(node) : undefined;
    return waypoint === undefined ? String(id) : `${id} ${waypoint}`;
  });
}

export function askStreams(options: {
  readonly streams: () => readonly StreamView[];
  readonly waypointOf: (node: XdsNode) => string | undefined;
  readonly remote?: () => readonly RemoteReplica[];
}): AskedStreams {
  const { streams, waypointOf, remote } = options;
  const settled = new Map<string, number>();
  const unsettled: AskedStreams['unsettled'][number][] = [];
  const reached = new Set<string>();
  /** When the stream began that a proxy has here. */
  const sinceMs = new Map<string, number>();
  for (const view of streams()) {
    const { node } = view;
    if (node === undefined) continue;
    sinceMs.set(node.id, view.connectedAtMs);
    const waypoint = waypointOf(node);
    if (waypoint !== undefined) reached.add(waypoint);
    // A waypoint that is nobody's is concerned by nothing.
    if (node.type === 'waypoint' && waypoint === undefined) continue;
    const name = node.type === 'waypoint' ? (waypoint ?? '') : '';
    if (!hasEverything({ view, node })) unsettled.push({ view, node, waypoint });
    else settled.set(name, (settled.get(name) ?? 0) + 1);
  }
  const replicas = (remote?.() ?? []).map((replica) => ({
    ...replica,
    proxies: replica.proxies.filter(({ id, connectedAtMs }) => {
      const here = sinceMs.get(id);
      return here === undefined || (replica.isHeard && connectedAtMs > here);
    }),
  }));
  for (const { isHeard, proxies } of replicas) {
    for (const { waypoint } of isHeard ? proxies : []) {
      if (waypoint !== undefined) reached.add(waypoint);
    }
  }
  return { settled, unsettled, remote: replicas, reached };
}
