/**
 * What is in force instead of a waypoint's Gateway that says in words unknown how its pods take tunnels, and of which no version was
 * ever accepted: a waypoint at which nobody is. Whom a label sends there is refused, rather than let past it as if there were none.
 */
import { INBOUND_BINDING, type MeshObject, parseObject, WAYPOINT_CLASSES } from '@ambit/api';

type Json = Readonly<Record<string, unknown>>;

/** No name of the mesh ends so (RFC 6761 §6.4). */
const NOBODY = 'nobody.invalid';

/** Undefined for what is no such Gateway. */
export function gatewayStandIn(written: Json): MeshObject | undefined {
  const { name, namespace, uid, annotations } = recordOf(written['metadata']);
  const { gatewayClassName } = recordOf(written['spec']);
  const isWaypoint = WAYPOINT_CLASSES.some((known) => known === gatewayClassName);
  if (!isWaypoint || recordOf(annotations)[INBOUND_BINDING] === undefined) return undefined;
  const { object } = parseObject({
    apiVersion: written['apiVersion'],
    kind: 'Gateway',
    metadata: { name, namespace, uid, labels: { 'istio.io/waypoint-for': 'all' } },
    spec: {
      gatewayClassName,
      addresses: [{ type: 'Hostname', value: NOBODY }],
      listeners: [
        {
          name: 'mesh',
          port: 15_008,
          protocol: 'HBONE',
          allowedRoutes: { namespaces: { from: 'All' } },
        },
      ],
    },
  });
  return object;
}

function recordOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : {};
}
