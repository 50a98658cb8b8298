/** Resources in the JSON form of the recordings: proto names, defaults left out, bytes in base64. */
import { parseIp } from '@ambit/api';
import type { Cidr, CompiledPolicy, L4Match, StringPattern } from '@ambit/policy';

import type { Address, GatewayAddress, MeshService, PortMapping, Workload } from './types.ts';

type Json = Record<string, unknown>;

export function asRecorded(resource: Address | CompiledPolicy): Json {
  if (!('kind' in resource)) return authorization(resource);
  return resource.kind === 'workload'
    ? { workload: workload(resource.workload) }
    : { service: service(resource.service) };
}

function workload(value: Workload): Json {
  const services = Object.fromEntries(
    Object.entries(value.services).map(([key, ports]) => [key, { ports: ports.map(port) }]),
  );
  return compact({
    addresses: value.addresses.map(bytes),
    authorization_policies: value.authorizationPolicies,
    canonical_name: value.canonicalName,
    canonical_revision: value.canonicalRevision,
    capacity: value.capacity === 1 ? undefined : value.capacity,
    cluster_id: value.clusterId,
    hostname: value.hostname,
    locality: value.locality === undefined ? undefined : compact({ ...value.locality }),
    name: value.name,
    namespace: value.namespace,
    network: value.network,
    network_mode: value.networkMode === 'STANDARD' ? undefined : value.networkMode,
    node: value.node,
    service_account: value.serviceAccount,
    services,
    status: value.status === 'HEALTHY' ? undefined : value.status,
    trust_domain: value.trustDomain === 'cluster.local' ? undefined : value.trustDomain,
    tunnel_protocol: value.tunnelProtocol === 'NONE' ? undefined : value.tunnelProtocol,
    uid: value.uid,
    waypoint: value.waypoint === undefined ? undefined : gateway(value.waypoint),
    workload_name: value.workloadName,
    workload_type: value.workloadType === 'DEPLOYMENT' ? undefined : value.workloadType,
    native_tunnel: value.nativeTunnel || undefined,
  });
}

function service(value: MeshService): Json {
  const balancing = value.loadBalancing;
  return compact({
    addresses: value.addresses.map(({ network, address, length }) =>
      compact({ network, address: bytes(address), length }),
    ),
    canonical: value.canonical || undefined,
    hostname: value.hostname,
    ingress_use_waypoint: value.ingressUseWaypoint || undefined,
    ip_families: value.ipFamilies === 'AUTOMATIC' ? undefined : value.ipFamilies,
    load_balancing:
      balancing === undefined
        ? undefined
        : compact({
            health_policy: balancing.healthPolicy === 'ALLOW_ALL' ? 'ALLOW_ALL' : undefined,
            mode: balancing.mode === 'UNSPECIFIED' ? undefined : balancing.mode,
            routing_preference: balancing.routingPreference,
          }),
    name: value.name,
    namespace: value.namespace,
    ports: value.ports.map(port),
    subject_alt_names: value.subjectAltNames,
    waypoint: value.waypoint === undefined ? undefined : gateway(value.waypoint),
  });
}

function port(value: PortMapping): Json {
  return compact({
    service_port: value.servicePort,
    target_port: value.targetPort || undefined,
    app_protocol: value.appProtocol === 'UNKNOWN' ? undefined : value.appProtocol,
  });
}

function gateway(value: GatewayAddress): Json {
  const { destination } = value;
  return destination.kind === 'hostname'
    ? { hostname: destination.hostname, hbone_mtls_port: value.hboneMtlsPort }
    : {
        address: { address: bytes(destination.address.address) },
        hbone_mtls_port: value.hboneMtlsPort,
      };
}

function authorization(policy: CompiledPolicy): Json {
  return compact({
    name: policy.name,
    namespace: policy.namespace,
    scope: policy.scope === 'GLOBAL' ? undefined : policy.scope,
    action: policy.action === 'ALLOW' ? undefined : policy.action,
    dry_run: policy.dryRun || undefined,
    groups: policy.rules.map((rule) =>
      compact({
        rules: rule.clauses.map((clause) => ({
          matches: clause.matches.map(({ l4 }) => match(l4)),
        })),
      }),
    ),
  });
}

function match(l4: L4Match): Json {
  return compact({
    namespaces: l4.namespaces.map(pattern),
    not_namespaces: l4.notNamespaces.map(pattern),
    principals: l4.principals.map(pattern),
    not_principals: l4.notPrincipals.map(pattern),
    service_accounts: l4.serviceAccounts.map(({ namespace, name }) => ({
      namespace,
      serviceAccount: name,
    })),
    source_ips: l4.sourceIps.map(cidr),
    not_source_ips: l4.notSourceIps.map(cidr),
    destination_ips: l4.destinationIps.map(cidr),
    not_destination_ips: l4.notDestinationIps.map(cidr),
    destination_ports: l4.destinationPorts,
    not_destination_ports: l4.notDestinationPorts,
  });
}

function pattern(value: StringPattern): Json {
  return value.kind === 'presence' ? { presence: {} } : { [value.kind]: value.value };
}

function cidr(value: Cidr): Json {
  return { address: Buffer.from(value.address).toString('base64'), length: value.length };
}

function bytes(ip: string): string {
  return Buffer.from(parseIp(ip) ?? []).toString('base64');
}

/** Without empty strings, empty lists, empty maps and undefined. */
function compact(json: Json): Json {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => !isDefault(value)));
}

function isDefault(value: unknown): boolean {
  if (value === undefined || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
