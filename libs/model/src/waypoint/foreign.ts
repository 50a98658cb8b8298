/**
 * Waypoints of another mesh in the same cluster: Gateways of a waypoint's class whose revision is not ours. Callers that a label
 * sends there are sent there, as the other mesh sends its callers to ours; everything else about them is the other mesh's.
 */
import { type Gateway, type GatewayClass, STAND_IN } from '@ambit/api';
import type { Collection } from '../graph/collection.ts';
import { classKey, type ModelOptions, objectKey } from '../objects/keys.ts';
import { HBONE_PORT } from '../objects/labels.ts';
import type { GatewayAddress } from '../types.ts';
import {
  addressOfParts,
  type Binding,
  type WaypointDefinition,
  waypointFromGateway,
} from './waypoints.ts';

export interface KnownWaypoints {
  readonly sources: {
    readonly gateways: Collection<Gateway>;
    readonly gatewayClasses: Collection<GatewayClass>;
  };
  readonly options: ModelOptions;
  /** Ours, by `namespace/name`. */
  readonly waypoints: Collection<WaypointDefinition>;
}

/** `key`: `namespace/name`; where it is stood in for, by the Service of its name. Undefined for ours, for one that is not there, and for what is no waypoint. */
export function foreignWaypoint(
  key: string,
  { sources, options, waypoints }: KnownWaypoints,
): WaypointDefinition | undefined {
  if (waypoints.get(key) !== undefined) return undefined;
  const slash = key.indexOf('/');
  const name = objectKey('Gateway', key.slice(0, slash), key.slice(slash + 1));
  const gateway = sources.gateways.get(name);
  if (gateway === undefined) return undefined;
  const gatewayClass = sources.gatewayClasses.get(classKey(gateway));
  const waypoint = waypointFromGateway(gateway, gatewayClass, options);
  if (gateway.metadata.annotations[STAND_IN] === undefined) return waypoint;
  // It names nobody, which is for our own: what another mesh makes of its annotations is that mesh's affair.
  const { destination } = addressOfParts(gateway, options);
  return waypoint && { ...waypoint, address: { ...waypoint.address, destination } };
}

/**
 * Where callers are sent for what a waypoint has to decide where none is made in a namespace, or none is had: nobody is there, and
 * that is what refuses them. No service can have this name.
 */
export function noWaypoint(
  namespace: string,
  { reason, waypoint = 'none' }: Binding,
): GatewayAddress {
  const hostname =
    reason === 'NamespaceForeign'
      ? `(none is made in namespace ${namespace})`
      : `(${waypoint}: ${reason})`;
  return {
    destination: { kind: 'hostname', hostname: { namespace, hostname } },
    hboneMtlsPort: HBONE_PORT,
  };
}
