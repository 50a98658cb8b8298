/** What one proxy has of one object, by what was sent to it, acknowledged and refused. */
import type { ObjectKey } from '@ambit/api';
import type { MeshDelta } from '@ambit/model';
import { type StreamView, TYPE_URL, type XdsNode } from '@ambit/xds';

/** Names that are remembered for one object and type; beyond, the whole type has to be acknowledged. */
const NAMES_MAX = 5_000;

const NONE: ReadonlySet<string> = new Set();

export type Names = ReadonlySet<string> | 'all';

/** One proxy's answer to one object. */
export type Answer =
  | { readonly kind: 'in-force' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'refused'; readonly reason: string };

export interface AskedStream {
  readonly view: StreamView;
  readonly node: XdsNode;
}

/** What an object becomes, by type. `related`: what it changed. */
export function namesOf(
  key: ObjectKey,
  related: ReadonlyMap<string, Names> | undefined,
): ReadonlyMap<string, Names> {
  const names = new Map<string, Names>(related);
  // Of other kinds none of that name is theirs: what they change is in `related`.
  if (key.startsWith('AuthorizationPolicy/')) {
    const own = new Set([key.slice(key.indexOf('/') + 1)]);
    const changed = { changed: own, removed: NONE };
    names.set(TYPE_URL.authorization, unite(names.get(TYPE_URL.authorization), changed));
  }
  names.set(TYPE_URL.object, new Set([key]));
  return names;
}

export function answerOf(
  asked: ReadonlyMap<string, Names>,
  { view, node }: AskedStream,
  versionOf: (typeUrl: string, name: string, node: XdsNode) => string | undefined,
): Answer {
  let isWaiting = false;
  for (const [typeUrl, names] of asked) {
    const type = view.types.get(typeUrl);
    if (type === undefined) {
      // A proxy that has not asked for what it needs yet.
      isWaiting ||=
        typeUrl === (node.type === 'waypoint' ? TYPE_URL.object : TYPE_URL.address) &&
        names !== 'all';
      continue;
    }
    if (type.isSettled && type.rejected.size === 0) continue;
    if (names === 'all') {
      isWaiting ||= !type.isSettled;
      continue;
    }
    for (const name of names) {
      if (!type.isWildcard && !type.names.has(name)) continue;
      const version = versionOf(typeUrl, name, node);
      const rejected = type.rejected.get(name);
      if (rejected !== undefined && rejected.version === version) {
        return { kind: 'refused', reason: rejected.reason };
      }
      // One that has gone since it was sent is had as soon as that is acknowledged.
      const sent = type.inFlight?.resources.get(name);
      isWaiting ||= type.acked.get(name) !== version || (sent !== undefined && sent !== version);
    }
  }
  return { kind: isWaiting ? 'waiting' : 'in-force' };
}

/** Nothing is on its way and nothing was refused: whatever the object is, the proxy has it. */
export function hasEverything({ view: { types }, node }: AskedStream): boolean {
  const needed = node.type === 'waypoint' ? TYPE_URL.object : TYPE_URL.address;
  if (!types.has(needed)) return false;
  for (const type of types.values()) {
    if (type.rejected.size > 0 || (!type.isSettled && type.lastSequence > 0)) return false;
  }
  return types.get(needed)?.isSettled === true;
}

/** The names that were there before, and those that were written or taken away. */
export function unite(
  before: Names | undefined,
  { changed, removed }: MeshDelta['addresses'],
): Names {
  if (before === 'all' || changed.size + removed.size > NAMES_MAX) return 'all';
  const names = new Set([...(before ?? []), ...changed, ...removed]);
  return names.size > NAMES_MAX ? 'all' : names;
}
