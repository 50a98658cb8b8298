/** `istio.io/use-waypoint` that names no waypoint: whoever carries the label says so, with the way out. */
import type { Finding, MeshObject } from '@ambit/api';
import type { Derived } from '../derive.ts';
import { objectKey } from '../objects/keys.ts';
import { USE_WAYPOINT, USE_WAYPOINT_NAMESPACE } from '../objects/labels.ts';
import { foreignWaypoint } from '../waypoint/foreign.ts';
import { ON_DEMAND_NAME } from '../waypoint/waypoints.ts';
import { warning } from './conditions.ts';

/** Of a Namespace, Service, ServiceEntry or Pod. Of the object's own label only. */
export function labelFindings(
  { kind, metadata }: Pick<MeshObject, 'kind' | 'metadata'>,
  derived: Derived,
): readonly Finding[] {
  const { labels } = metadata;
  const own = kind === 'Namespace' ? metadata.name : metadata.namespace;
  const name = labels[USE_WAYPOINT];
  if (name === undefined || name === '' || name === 'none') return [];
  const namespace = labels[USE_WAYPOINT_NAMESPACE] ?? own;
  const key = `${namespace}/${name}`;
  if (derived.waypoints.get(key) !== undefined) return [];
  const isOnDemand = name === ON_DEMAND_NAME && namespace === own;
  if (isOnDemand && isMade(key, derived)) return [];
  // What becomes of it is said by whom it belongs to.
  if (foreignWaypoint(key, derived) !== undefined) return [];
  const gateway = derived.sources.gateways.get(objectKey('Gateway', namespace, name));
  const message =
    gateway === undefined
      ? `names Gateway ${key}, which does not exist`
      : `names Gateway ${key}, which is no waypoint: its class is ${gateway.spec.gatewayClassName}`;
  const fix = `apply a Gateway "${name}" of class istio-waypoint in namespace ${namespace}, or take the label away`;
  return [warning('WAYPOINT_NOT_FOUND', `metadata.labels["${USE_WAYPOINT}"]`, message, fix)];
}

/** The waypoint that is made when something needs it, and something does. */
function isMade(key: string, { serviceBindings, workloadBindings }: Derived): boolean {
  return [serviceBindings, workloadBindings].some((bindings) =>
    bindings.lookup('waypoint', key).some(({ reason }) => reason === 'Bound'),
  );
}
