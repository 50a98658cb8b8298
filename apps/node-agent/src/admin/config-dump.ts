/**
 * `/config_dump` under the reference's key names, which existing tools parse.
 *
 * Values that are a default there are left out there; here they are present, and tools take both. Holds no keys.
 */

import { SocketAddress } from 'node:net';
import type {
  GatewayAddress,
  MeshService,
  NetworkAddress,
  PortMapping,
  Workload,
} from '@ambit/model';
import type { Cidr, CompiledPolicy, L4Match, StringPattern } from '@ambit/policy';

export interface DumpSource {
  readonly workloads: Iterable<Workload>;
  readonly services: Iterable<MeshService>;
  readonly endpoints: (serviceKey: string) => readonly Workload[];
  readonly policies: Iterable<CompiledPolicy>;
  readonly certificates: readonly unknown[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly version: string;
  readonly workloadState: Readonly<Record<string, unknown>>;
}

export function configDump(source: DumpSource): Readonly<Record<string, unknown>> {
  return {
    certificates: source.certificates,
    config: source.config,
    policies: sorted(
      [...source.policies].map(dumpPolicy),
      ({ namespace, name }) => `${namespace}/${name}`,
    ),
    services: sorted(
      [...source.services].map((service) => dumpService(service, source.endpoints)),
      ({ namespace, hostname }) => `${namespace}/${hostname}`,
    ),
    stagedServices: {},
    staticConfig: { policies: [], services: [], workloads: [] },
    version: {
      version: source.version,
      gitRevision: 'unknown',
      buildProfile: 'release',
      buildStatus: 'Clean',
      istioVersion: 'unknown',
      cryptoProvider: `openssl ${process.versions.openssl}`,
    },
    workloadState: source.workloadState,
    workloads: sorted([...source.workloads].map(dumpWorkload), ({ uid }) => uid),
  };
}

function dumpWorkload(workload: Workload) {
  return {
    authorizationPolicies: workload.authorizationPolicies,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    capacity: workload.capacity,
    clusterId: workload.clusterId,
    ...(workload.guard === undefined ? {} : { guard: workload.guard }),
    ...(workload.hostname === '' ? {} : { hostname: workload.hostname }),
    ...(workload.locality === undefined ? {} : { locality: workload.locality }),
    name: workload.name,
    namespace: workload.namespace,
    nativeTunnel: workload.nativeTunnel,
    network: workload.network,
    networkMode: workload.networkMode === 'HOST_NETWORK' ? 'HostNetwork' : 'Standard',
    node: workload.node,
    protocol: workload.tunnelProtocol === 'HBONE' ? 'HBONE' : 'TCP',
    serviceAccount: workload.serviceAccount,
    services: Object.keys(workload.services).sort(),
    status: workload.status === 'HEALTHY' ? 'Healthy' : 'Unhealthy',
    trustDomain: workload.trustDomain,
    uid: workload.uid,
    ...(workload.waypoint === undefined ? {} : { waypoint: dumpGateway(workload.waypoint) }),
    workloadIps: workload.addresses,
    workloadName: workload.workloadName,
    workloadType: workload.workloadType.toLowerCase(),
  };
}

function dumpService(service: MeshService, endpoints: DumpSource['endpoints']) {
  const key = `${service.namespace}/${service.hostname}`;
  const hosts = service.addresses.filter(({ length }) => length === undefined);
  const ranges = service.addresses.filter(({ length }) => length !== undefined);
  return {
    canonical: service.canonical,
    cidrVips: ranges.map(({ network, address, length }) => ({
      cidr: `${address}/${length}`,
      network,
    })),
    endpoints: Object.fromEntries(
      endpoints(key).map((workload) => [
        workload.uid,
        {
          port: dumpPorts(workload.services[key] ?? []),
          status: workload.status === 'HEALTHY' ? 'Healthy' : 'Unhealthy',
          workloadUid: workload.uid,
        },
      ]),
    ),
    hostname: service.hostname,
    ipFamilies: IP_FAMILIES[service.ipFamilies],
    ...(service.loadBalancing === undefined
      ? {}
      : {
          loadBalancer: {
            healthPolicy: pascal(service.loadBalancing.healthPolicy),
            mode: pascal(service.loadBalancing.mode),
            routingPreferences: service.loadBalancing.routingPreference.map(pascal),
          },
        }),
    name: service.name,
    namespace: service.namespace,
    ports: dumpPorts(service.ports),
    subjectAltNames: service.subjectAltNames,
    vips: hosts.map(dumpAddress),
    visibility: 'Public',
    ...(service.waypoint === undefined ? {} : { waypoint: dumpGateway(service.waypoint) }),
  };
}

const IP_FAMILIES = {
  AUTOMATIC: null,
  IPV4_ONLY: 'IPv4',
  IPV6_ONLY: 'IPv6',
  DUAL: 'Dual',
} as const;

function dumpPolicy(policy: CompiledPolicy) {
  return {
    action: pascal(policy.action),
    dryRun: policy.dryRun,
    name: policy.name,
    namespace: policy.namespace,
    rules: policy.rules.map(({ clauses }) =>
      clauses.map(({ matches }) => matches.map(({ l4 }) => dumpMatch(l4))),
    ),
    scope: pascal(policy.scope),
  };
}

/** Empty lists are left out, as there. */
function dumpMatch(match: L4Match) {
  const all = {
    destinationIps: match.destinationIps.map(dumpCidr),
    destinationPorts: match.destinationPorts,
    namespaces: match.namespaces.map(dumpPattern),
    notDestinationIps: match.notDestinationIps.map(dumpCidr),
    notDestinationPorts: match.notDestinationPorts,
    notNamespaces: match.notNamespaces.map(dumpPattern),
    notPrincipals: match.notPrincipals.map(dumpPattern),
    notServiceAccounts: match.notServiceAccounts.map(dumpAccount),
    notSourceIps: match.notSourceIps.map(dumpCidr),
    notTrustDomains: match.notTrustDomains.map(dumpPattern),
    principals: match.principals.map(dumpPattern),
    serviceAccounts: match.serviceAccounts.map(dumpAccount),
    sourceIps: match.sourceIps.map(dumpCidr),
    trustDomains: match.trustDomains.map(dumpPattern),
  };
  return Object.fromEntries(Object.entries(all).filter(([, list]) => list.length > 0));
}

function dumpPattern(pattern: StringPattern) {
  return pattern.kind === 'presence' ? { Presence: [] } : { [pascal(pattern.kind)]: pattern.value };
}

function dumpAccount({ namespace, name }: { readonly namespace: string; readonly name: string }) {
  return { namespace, serviceAccount: name };
}

function dumpCidr({ address, length }: Cidr): string {
  const groups =
    address.length === 4
      ? [...address].join('.')
      : Array.from({ length: address.length / 2 }, (_, i) =>
          (((address[i * 2] ?? 0) << 8) | (address[i * 2 + 1] ?? 0)).toString(16),
        ).join(':');
  const family = address.length === 4 ? 'ipv4' : 'ipv6';
  return `${new SocketAddress({ address: groups, family }).address}/${length}`;
}

function dumpGateway({ destination, hboneMtlsPort }: GatewayAddress) {
  const text =
    destination.kind === 'hostname'
      ? `${destination.hostname.namespace}/${destination.hostname.hostname}`
      : dumpAddress(destination.address);
  return { destination: text, hboneMtlsPort };
}

function dumpAddress({ network, address }: NetworkAddress): string {
  return `${network}/${address}`;
}

function dumpPorts(ports: readonly PortMapping[]): Readonly<Record<string, number>> {
  return Object.fromEntries(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort]));
}

/** `WORKLOAD_SELECTOR` → `WorkloadSelector`. */
function pascal(name: string): string {
  return name
    .toLowerCase()
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}

function sorted<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
