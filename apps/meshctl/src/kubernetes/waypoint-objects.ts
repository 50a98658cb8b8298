/** The Gateway that asks for a waypoint, and what people want to know of one. */
import { type Cluster, fieldAt, gvr, listAt, textAt } from '../install/cluster.ts';
import { labelsOf } from './namespaces.ts';

export const GATEWAYS = gvr('gateway.networking.k8s.io/v1', 'gateways');
export const SERVICES = gvr('v1', 'services');
export const USE_WAYPOINT = 'istio.io/use-waypoint';
export const USE_WAYPOINT_NAMESPACE = 'istio.io/use-waypoint-namespace';
export const WAYPOINT_FOR = 'istio.io/waypoint-for';
export const TRAFFIC_TYPES = ['service', 'workload', 'all', 'none'] as const;
export type TrafficType = (typeof TRAFFIC_TYPES)[number];

const CLASSES = ['istio-waypoint', 'ambit-waypoint'];

export interface WaypointWanted {
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly trafficType?: TrafficType | undefined;
  readonly revision?: string | undefined;
}

export interface GatewayManifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: object;
  };
  readonly spec: object;
}

/** As `istioctl waypoint generate` writes it. */
export function waypointGateway(wanted: WaypointWanted): GatewayManifest {
  const { namespace, name, trafficType, revision } = wanted;
  const labels = {
    ...(revision === undefined ? {} : { 'istio.io/rev': revision }),
    ...(trafficType === undefined ? {} : { [WAYPOINT_FOR]: trafficType }),
  };
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: {
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      name,
      ...(namespace === undefined ? {} : { namespace }),
    },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
    },
  };
}

export interface WaypointFacts {
  readonly namespace: string;
  readonly name: string;
  readonly revision: string;
  readonly trafficType: string;
  readonly isProgrammed: boolean;
  readonly reason: string;
  readonly message: string;
}

export function isWaypoint(gateway: unknown): boolean {
  return CLASSES.includes(textAt(gateway, 'spec', 'gatewayClassName'));
}

/** A condition about an earlier generation says nothing. */
export function waypointFacts(gateway: unknown): WaypointFacts {
  const labels = fieldAt(gateway, 'metadata', 'labels');
  const generation = fieldAt(gateway, 'metadata', 'generation');
  const conditions = listAt(gateway, 'status', 'conditions');
  const find = (type: string): unknown => conditions.find((one) => textAt(one, 'type') === type);
  const programmed = find('Programmed');
  const refused = [find('Accepted')].find((one) => textAt(one, 'status') === 'False');
  const isCurrent = fieldAt(programmed, 'observedGeneration') === generation;
  const isProgrammed = isCurrent && textAt(programmed, 'status') === 'True';
  const shown = refused ?? programmed;
  return {
    namespace: textAt(gateway, 'metadata', 'namespace'),
    name: textAt(gateway, 'metadata', 'name'),
    revision: textAt(labels, 'istio.io/rev') || 'default',
    trafficType: textAt(labels, WAYPOINT_FOR) || 'service',
    isProgrammed,
    reason: textAt(shown, 'reason') || 'Pending',
    message:
      shown === undefined || !isCurrent
        ? 'no controller has looked at it yet'
        : textAt(shown, 'message'),
  };
}

/** `Namespace shop`, `Service shop/reviews`: who is labelled to go through it. */
export async function usersOf(
  { client }: Cluster,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<readonly string[]> {
  const labelSelector = `${USE_WAYPOINT}=${name}`;
  const isOurs = (own: string, labels: Readonly<Record<string, string>>): boolean =>
    (labels[USE_WAYPOINT_NAMESPACE] ?? own) === namespace;
  const [namespaces, services] = await Promise.all([
    client.list(gvr('v1', 'namespaces'), { labelSelector }),
    client.list(SERVICES, { labelSelector }),
  ]);
  return [
    ...namespaces
      .filter((one) => isOurs(one.metadata.name, labelsOf(one)))
      .map((one) => `Namespace ${one.metadata.name}`),
    ...services
      .filter((one) => isOurs(one.metadata.namespace ?? '', labelsOf(one)))
      .map((one) => `Service ${one.metadata.namespace ?? ''}/${one.metadata.name}`),
  ];
}
