/**
 * Services from what was written: a Kubernetes Service, or each host of a ServiceEntry.
 *
 * Two objects can claim one `namespace/hostname`; a Service wins over a ServiceEntry, then the older. Losing claims are kept, so that the winner's removal brings the next one back.
 */
import { formatIp, type ObjectKey, parseCidr, type Service, type ServiceEntry } from '@ambit/api';
import { keyOf, type Labels, type ModelOptions } from '../objects/keys.ts';
import {
  GATEWAY_NAME,
  INGRESS_USE_WAYPOINT,
  SERVICE_ACCOUNT,
  TRAFFIC_DISTRIBUTION,
} from '../objects/labels.ts';
import type { AppProtocol, LoadBalancing, MeshService, NetworkAddress } from '../types.ts';
import { type WaypointFallback, writtenFallback } from '../waypoint/fallback.ts';
import { entryPortProtocol, servicePortProtocol } from './app-protocol.ts';

/** What provisions waypoints writes it on all that it makes. */
const MANAGED_BY = 'gateway.istio.io/managed';
const WAYPOINT_CONTROLLER = 'istio.io-mesh-controller';

export interface ServicePortSpec {
  readonly name: string;
  readonly servicePort: number;
  /** A number, or a name that each endpoint resolves for itself. */
  readonly target: number | string;
  readonly appProtocol: AppProtocol;
  readonly isTcp: boolean;
}

export interface ServiceSpec {
  /** `namespace/hostname` */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly object: ObjectKey;
  readonly kind: 'Service' | 'ServiceEntry';
  readonly creationTimestampMs: number;
  readonly addresses: readonly NetworkAddress[];
  /** Gets a VIP of the mesh's own range. */
  readonly wantsVip: boolean;
  readonly isHeadless: boolean;
  readonly ports: readonly ServicePortSpec[];
  /** Absent: endpoints are inline, or there are none. */
  readonly selector?: Labels;
  readonly subjectAltNames: readonly string[];
  readonly loadBalancing?: LoadBalancing;
  readonly ipFamilies: MeshService['ipFamilies'];
  readonly labels: Labels;
  /** The Service in front of a waypoint: never behind one itself. */
  readonly isGateway: boolean;
  /** A waypoint's service: only pods of this account serve it, whatever labels others wear. */
  readonly account?: string;
  readonly ingressUseWaypoint: boolean;
  readonly waypointFallback?: WaypointFallback;
}

/** `undefined` for kinds of Service that have no part in the mesh (ExternalName). */
export function serviceFromService(
  service: Service,
  namespaceDistribution: string | undefined,
  options: ModelOptions,
): ServiceSpec | undefined {
  const { metadata, spec } = service;
  if (spec.type === 'ExternalName') return undefined;
  const hostname = `${metadata.name}.${metadata.namespace}.svc.${options.clusterDomain}`;
  const addresses = spec.clusterIPs.flatMap((ip) => parseAddress(ip, options.network));
  const distribution =
    spec.trafficDistribution ?? metadata.annotations[TRAFFIC_DISTRIBUTION] ?? namespaceDistribution;
  const balancing = loadBalancingOf(spec, distribution);
  return {
    key: `${metadata.namespace}/${hostname}`,
    name: metadata.name,
    namespace: metadata.namespace,
    hostname,
    object: keyOf(service),
    kind: 'Service',
    creationTimestampMs: metadata.creationTimestampMs,
    addresses,
    wantsVip: false,
    isHeadless: spec.clusterIPs.includes('None'),
    ports: spec.ports.map((port) => ({
      name: port.name,
      servicePort: port.port,
      target: port.targetPort,
      appProtocol: servicePortProtocol(port),
      isTcp: port.protocol === 'TCP',
    })),
    ...(Object.keys(spec.selector).length === 0 ? {} : { selector: spec.selector }),
    subjectAltNames: [],
    ...(balancing === undefined ? {} : { loadBalancing: balancing }),
    ipFamilies: familiesOf(spec.ipFamilies),
    labels: metadata.labels,
    isGateway: metadata.labels[GATEWAY_NAME] !== undefined,
    ...waypointAccount(metadata),
    ingressUseWaypoint: metadata.labels[INGRESS_USE_WAYPOINT] === 'true',
    ...fallbackIn(metadata),
  };
}

function fallbackIn(metadata: Service['metadata']): { waypointFallback?: WaypointFallback } {
  const waypointFallback = writtenFallback(metadata);
  return waypointFallback === undefined ? {} : { waypointFallback };
}

/** Of a waypoint that a controller provisions: named by it, else the Gateway's name. */
function waypointAccount({ labels, annotations }: Service['metadata']): { account?: string } {
  const gateway = labels[GATEWAY_NAME];
  return gateway === undefined || labels[MANAGED_BY] !== WAYPOINT_CONTROLLER
    ? {}
    : { account: annotations[SERVICE_ACCOUNT] ?? gateway };
}

/** One for each host, under a name that is unique among claims: `ServiceEntry/ns/name#host`. */
export function servicesFromEntry(
  entry: ServiceEntry,
  options: ModelOptions,
): readonly (readonly [string, ServiceSpec])[] {
  const { metadata, spec } = entry;
  const object = keyOf(entry);
  const addresses = spec.addresses.flatMap((text) => parseAddress(text, options.network));
  const balancing: LoadBalancing | undefined =
    spec.resolution === 'NONE'
      ? { routingPreference: [], mode: 'PASSTHROUGH', healthPolicy: 'ALLOW_ALL' }
      : undefined;
  return [...new Set(spec.hosts.map((host) => host.toLowerCase()))].map((hostname) => [
    `${object}#${hostname}`,
    {
      key: `${metadata.namespace}/${hostname}`,
      name: metadata.name,
      namespace: metadata.namespace,
      hostname,
      object,
      kind: 'ServiceEntry',
      creationTimestampMs: metadata.creationTimestampMs,
      addresses,
      wantsVip: wantsVip(entry, hostname),
      isHeadless: false,
      ports: spec.ports.map((port) => ({
        name: port.name,
        servicePort: port.number,
        target: port.targetPort ?? port.number,
        appProtocol: entryPortProtocol(port.protocol),
        isTcp: port.protocol.toUpperCase() !== 'UDP',
      })),
      ...(spec.workloadSelector === undefined ? {} : { selector: spec.workloadSelector.labels }),
      subjectAltNames: spec.subjectAltNames,
      ...(balancing === undefined ? {} : { loadBalancing: balancing }),
      ipFamilies: 'AUTOMATIC',
      labels: metadata.labels,
      isGateway: false,
      ingressUseWaypoint: metadata.labels[INGRESS_USE_WAYPOINT] === 'true',
      ...fallbackIn(metadata),
    },
  ]);
}

/** Which of several claims of one `namespace/hostname`, or of one hostname, comes first. */
export function compareServices(a: ServiceSpec, b: ServiceSpec): number {
  if (a.kind !== b.kind) return a.kind === 'Service' ? -1 : 1;
  return a.creationTimestampMs - b.creationTimestampMs || (a.object < b.object ? -1 : 1);
}

/** Services of Kubernetes, without entries, by the bucket of each of their addresses. */
export const SERVICES_BY_ADDRESS = 'service-address';

export function addressBucket({ network, address, length }: NetworkAddress): string {
  return `${network}/${address}${length === undefined ? '' : `/${length}`}`;
}

/** Text `ip` or `ip/len`; a full-length prefix is a host. Nothing for `None` and what is no address. */
export function parseAddress(text: string, network: string): readonly NetworkAddress[] {
  const cidr = parseCidr(text);
  if (cidr === undefined) return [];
  const address = formatIp(cidr.address);
  const isHost = cidr.length === cidr.address.length * 8;
  return [isHost ? { network, address } : { network, address, length: cidr.length }];
}

/** A wildcard host has no address to hand out unless the name is resolved per request. */
function wantsVip({ spec }: ServiceEntry, hostname: string): boolean {
  if (spec.addresses.length > 0 || spec.resolution === 'NONE') return false;
  return !hostname.startsWith('*') || spec.resolution === 'DYNAMIC_DNS';
}

function loadBalancingOf(
  spec: Service['spec'],
  distribution: string | undefined,
): LoadBalancing | undefined {
  const healthPolicy = spec.publishNotReadyAddresses ? 'ALLOW_ALL' : 'ONLY_HEALTHY';
  if (spec.internalTrafficPolicy === 'Local') {
    return { routingPreference: ['NODE'], mode: 'STRICT', healthPolicy };
  }
  if (distribution === 'PreferClose' || distribution === 'PreferSameZone') {
    return { routingPreference: ['NETWORK', 'REGION', 'ZONE'], mode: 'FAILOVER', healthPolicy };
  }
  if (distribution === 'PreferSameNode') {
    const routingPreference = ['NETWORK', 'REGION', 'ZONE', 'SUBZONE', 'NODE'] as const;
    return { routingPreference, mode: 'FAILOVER', healthPolicy };
  }
  return spec.publishNotReadyAddresses
    ? { routingPreference: [], mode: 'UNSPECIFIED', healthPolicy }
    : undefined;
}

function familiesOf(families: readonly ('IPv4' | 'IPv6')[]): MeshService['ipFamilies'] {
  const [first, second] = families;
  if (first === undefined) return 'AUTOMATIC';
  if (second !== undefined && second !== first) return 'DUAL';
  return first === 'IPv4' ? 'IPV4_ONLY' : 'IPV6_ONLY';
}
