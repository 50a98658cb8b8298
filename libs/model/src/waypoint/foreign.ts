/** Waypoints of another mesh in the same cluster: Gateways of a waypoint's class whose revision is not ours. */
import type { Gateway } from '@ambit/api';
import type { Collection } from '../graph/collection.ts';
import { WAYPOINT_CLASSES } from '../objects/labels.ts';
import { objectKey } from '../objects/keys.ts';

export interface KnownWaypoints {
  readonly sources: { readonly gateways: Collection<Gateway> };
  /** Ours, by `namespace/name`. */
  readonly waypoints: Collection<unknown>;
}

/** `key`: `namespace/name`. */
export function isForeignWaypoint(key: string, { sources, waypoints }: KnownWaypoints): boolean {
  if (waypoints.get(key) !== undefined) return false;
  const slash = key.indexOf('/');
  const name = objectKey('Gateway', key.slice(0, slash), key.slice(slash + 1));
  const gateway = sources.gateways.get(name);
  return gateway !== undefined && WAYPOINT_CLASSES.has(gateway.spec.gatewayClassName);
}
