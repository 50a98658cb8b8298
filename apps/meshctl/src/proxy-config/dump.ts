/**
 * What agents and waypoints say in `/config_dump`, in one outline. An agent's has the reference's key names, a
 * waypoint's the model's; what a version does not have is empty here, never an error.
 */
import { fieldAt, listAt, numberAt, textAt } from '../install/cluster.ts';

export interface ProxyDump {
  readonly kind: 'node-agent' | 'waypoint';
  /** Node of an agent, `namespace/name` of a waypoint. */
  readonly name: string;
  readonly json: unknown;
}

/** One line of a table, and what filters look at. */
export interface Row {
  readonly cells: readonly string[];
  /** For `-o json|yaml`. */
  readonly data: unknown;
  readonly namespace?: string;
  readonly fqdn?: string;
  readonly ports?: readonly number[];
  readonly addresses?: readonly string[];
}

/** By its outline: agents have `workloadState`. */
export function kindOfDump(json: unknown): ProxyDump['kind'] | undefined {
  if (fieldAt(json, 'workloadState') !== undefined) return 'node-agent';
  return Array.isArray(fieldAt(json, 'objects')) ? 'waypoint' : undefined;
}

/** `node1`, `shop/waypoint`; empty where the dump does not say. */
export function nameOfDump(json: unknown): string {
  const gateway = fieldAt(json, 'config', 'gateway');
  return gateway === undefined
    ? textAt(json, 'config', 'nodeName')
    : `${textAt(gateway, 'namespace')}/${textAt(gateway, 'name')}`;
}

export function recordAt(
  json: unknown,
  ...path: readonly string[]
): Readonly<Record<string, unknown>> {
  const found = fieldAt(json, ...path);
  return typeof found === 'object' && found !== null && !Array.isArray(found)
    ? (found as Record<string, unknown>)
    : {};
}

export function textsAt(json: unknown, ...path: readonly string[]): readonly string[] {
  return listAt(json, ...path).filter((one) => typeof one === 'string');
}

/** `namespace/hostname` of a waypoint that a workload or service is sent through. */
export function waypointOf(entry: unknown): string {
  const destination = fieldAt(entry, 'waypoint', 'destination');
  if (typeof destination === 'string') return shortWaypoint(destination);
  const hostname = textAt(destination, 'hostname', 'hostname');
  if (hostname !== '')
    return shortWaypoint(`${textAt(destination, 'hostname', 'namespace')}/${hostname}`);
  return textAt(destination, 'address', 'address') || 'None';
}

/** `waypoint` of `shop/waypoint.shop.svc.cluster.local`, as istioctl shows it. */
function shortWaypoint(destination: string): string {
  const slash = destination.indexOf('/');
  const namespace = destination.slice(0, slash);
  const host = destination.slice(slash + 1);
  const end = host.indexOf(`.${namespace}.`);
  return namespace !== '' && end > 0 ? host.slice(0, end) : destination;
}

export function isHealthy(entry: unknown): boolean {
  return textAt(entry, 'status').toUpperCase() === 'HEALTHY';
}

export function protocolOf(workload: unknown): string {
  const said = textAt(workload, 'protocol') || textAt(workload, 'tunnelProtocol');
  return said === 'HBONE' ? 'HBONE' : 'TCP';
}

export function addressesOf(workload: unknown): readonly string[] {
  const own = textsAt(workload, 'workloadIps');
  return own.length > 0 ? own : textsAt(workload, 'addresses');
}

export interface ServicePort {
  readonly port: number;
  readonly targetPort: number;
  readonly protocol: string;
}

/** An agent's are `{ "80": 8080 }`, a waypoint's a list. */
export function portsOf(json: unknown, field: string): readonly ServicePort[] {
  const list = listAt(json, field);
  if (list.length > 0) {
    return list.map((one) => ({
      port: numberAt(one, 'servicePort'),
      targetPort: numberAt(one, 'targetPort'),
      protocol: textAt(one, 'appProtocol') || 'TCP',
    }));
  }
  return Object.entries(recordAt(json, field)).map(([port, target]) => ({
    port: Number(port),
    targetPort: typeof target === 'number' ? target : 0,
    protocol: 'TCP',
  }));
}

/** Without networks: `10.96.0.1`. */
export function vipsOf(service: unknown): readonly string[] {
  const own = textsAt(service, 'vips').map((vip) => vip.slice(vip.indexOf('/') + 1));
  const ranges = listAt(service, 'cidrVips').map((one) => textAt(one, 'cidr'));
  const model = listAt(service, 'addresses').map((one) => {
    const length = fieldAt(one, 'length');
    return `${textAt(one, 'address')}${typeof length === 'number' ? `/${length}` : ''}`;
  });
  return [...own, ...ranges, ...model];
}

export interface Endpoint {
  readonly service: unknown;
  readonly workload: unknown;
  readonly uid: string;
  readonly isHealthy: boolean;
  readonly ports: readonly ServicePort[];
}

/** Which workloads stand behind a service, as this proxy knows it. */
export function endpointsOf(json: unknown): readonly Endpoint[] {
  const workloads = new Map(listAt(json, 'workloads').map((one) => [textAt(one, 'uid'), one]));
  return listAt(json, 'services').flatMap((service) => {
    const own = Object.values(recordAt(service, 'endpoints'));
    if (own.length > 0) {
      return own.map((endpoint) => ({
        service,
        workload: workloads.get(textAt(endpoint, 'workloadUid')),
        uid: textAt(endpoint, 'workloadUid'),
        isHealthy: isHealthy(endpoint),
        ports: portsOf(endpoint, 'port'),
      }));
    }
    const key = `${textAt(service, 'namespace')}/${textAt(service, 'hostname')}`;
    return [...workloads].flatMap(([uid, workload]) => {
      const ports = portsOf(fieldAt(workload, 'services'), key);
      return ports.length === 0
        ? []
        : [{ service, workload, uid, isHealthy: isHealthy(workload), ports }];
    });
  });
}
