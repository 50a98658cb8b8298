/**
 * What is in force instead of a Gateway, or a GatewayClass, that says in words unknown how its pods take tunnels, and of which no version
 * was ever accepted: a waypoint at which nobody is. Whom a label sends there is refused, rather than let past it as if there were none, and
 * so is whoever calls its pods. The binding is not in what is made here: whoever takes it writes one that says nothing.
 */
import { INBOUND_BINDING, type MeshObject, parseObject } from '@ambit/api';

type Json = Readonly<Record<string, unknown>>;

/** No name of the mesh ends so (RFC 6761 §6.4). */
const NOBODY = 'nobody.invalid';

/** Undefined for what is none of them. */
export function bindingStandIn(written: Json): MeshObject | undefined {
  const { name, uid, annotations } = recordOf(written['metadata']);
  if (recordOf(annotations)[INBOUND_BINDING] === undefined) return undefined;
  if (written['kind'] === 'Gateway') return gatewayStandIn(written);
  if (written['kind'] !== 'GatewayClass') return undefined;
  return parseObject({
    apiVersion: written['apiVersion'],
    kind: 'GatewayClass',
    metadata: { name, uid, labels: { 'istio.io/waypoint-for': 'all' } },
    spec: { controllerName: `${NOBODY}/none` },
  }).object;
}

function gatewayStandIn(written: Json): MeshObject | undefined {
  const { name, namespace, uid } = recordOf(written['metadata']);
  const { gatewayClassName } = recordOf(written['spec']);
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
