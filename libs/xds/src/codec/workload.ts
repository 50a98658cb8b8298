/**
 * Workloads: `@ambit/model` ⇄ `istio.workload.Workload`.
 *
 * What the reference has no field for travels in extensions. A guard that can not be read refuses the
 * workload: without it the agent would admit whom only the waypoint may admit.
 */
import type { Guard, PortMapping, Workload } from '@ambit/model';
import { create } from '@bufbuild/protobuf';

import { invalidResource } from '../errors.ts';
import { GuardSchema, LabelsSchema } from '../gen/ambit/mesh/v1/mesh_pb.ts';
import {
  ApplicationTunnel_Protocol,
  ApplicationTunnelSchema,
  LocalitySchema,
  NetworkMode,
  PortListSchema,
  TunnelProtocol,
  type Workload as WorkloadMessage,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
} from '../gen/istio/workload/workload_pb.ts';
import { EXTENSION_NAME, EXTENSION_TYPE_URL } from '../type-urls.ts';
import { decodePort, encodeGatewayAddress, encodePort } from './gateway-address.ts';
import {
  checkPort,
  decodeIp,
  type ExtensionFields,
  encodeExtension,
  encodeIp,
  enumNames,
  findExtension,
} from './primitives.ts';
import { decodeWaypoint, waypointExtensions } from './waypoint-extension.ts';

const DEFAULT_TRUST_DOMAIN = 'cluster.local';
const DEFAULT_SERVICE_ACCOUNT = 'default';
const DEFAULT_CLUSTER_ID = 'Kubernetes';

const workloadTypeName = enumNames(WorkloadType, 'WorkloadType');
const statusName = enumNames(WorkloadStatus, 'WorkloadStatus');
const networkModeName = enumNames(NetworkMode, 'NetworkMode');
const tunnelProtocolName = enumNames(TunnelProtocol, 'TunnelProtocol');
const applicationProtocolName = enumNames(ApplicationTunnel_Protocol, 'ApplicationTunnel.Protocol');

export function encodeWorkload(workload: Workload): WorkloadMessage {
  const { trustDomain, capacity, locality, waypoint, applicationTunnel } = workload;
  return create(WorkloadSchema, {
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    addresses: workload.addresses.map(encodeIp),
    hostname: workload.hostname,
    network: workload.network,
    tunnelProtocol: TunnelProtocol[workload.tunnelProtocol],
    trustDomain: trustDomain === DEFAULT_TRUST_DOMAIN ? '' : trustDomain,
    serviceAccount: workload.serviceAccount,
    ...(waypoint === undefined ? {} : { waypoint: encodeGatewayAddress(waypoint) }),
    node: workload.node,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    workloadType: WorkloadType[workload.workloadType],
    workloadName: workload.workloadName,
    nativeTunnel: workload.nativeTunnel,
    authorizationPolicies: [...workload.authorizationPolicies],
    status: WorkloadStatus[workload.status],
    clusterId: workload.clusterId,
    services: encodeServices(workload.services),
    networkMode: NetworkMode[workload.networkMode],
    ...(locality === undefined ? {} : { locality: create(LocalitySchema, { ...locality }) }),
    ...(capacity === 1 ? {} : { capacity: capacity }),
    ...(applicationTunnel === undefined
      ? {}
      : {
          applicationTunnel: create(ApplicationTunnelSchema, {
            protocol: ApplicationTunnel_Protocol[applicationTunnel.protocol],
            port: applicationTunnel.port,
          }),
        }),
    extensions: extensionsOf(workload).map((extension) => ({
      ...extension,
      $typeName: 'istio.workload.Extension' as const,
    })),
  });
}

/** Throws XDS_RESOURCE_INVALID. Defaults are the reference agent's. */
export function decodeWorkload(message: WorkloadMessage): Workload {
  if (message.uid === '') {
    throw invalidResource('a workload without uid');
  }
  const { locality } = message;
  const waypoint = decodeWaypoint(message);
  const guard = decodeGuard(message);
  return {
    uid: message.uid,
    name: message.name,
    namespace: message.namespace,
    addresses: message.addresses.map(decodeIp),
    network: message.network,
    tunnelProtocol: decodeTunnelProtocol(message.tunnelProtocol),
    trustDomain: message.trustDomain || DEFAULT_TRUST_DOMAIN,
    serviceAccount: message.serviceAccount || DEFAULT_SERVICE_ACCOUNT,
    ...(waypoint === undefined ? {} : { waypoint }),
    node: message.node,
    canonicalName: message.canonicalName,
    canonicalRevision: message.canonicalRevision,
    workloadType: workloadTypeName(message.workloadType),
    workloadName: message.workloadName,
    nativeTunnel: message.nativeTunnel,
    authorizationPolicies: message.authorizationPolicies,
    status: statusName(message.status),
    clusterId: message.clusterId || DEFAULT_CLUSTER_ID,
    hostname: message.hostname,
    services: decodeServices(message.services),
    networkMode: networkModeName(message.networkMode),
    ...(locality === undefined
      ? {}
      : {
          locality: { region: locality.region, zone: locality.zone, subzone: locality.subzone },
        }),
    capacity: message.capacity ?? 1,
    ...(guard === undefined ? {} : { guard }),
    ...decodeApplicationTunnel(message),
    labels: decodeLabels(message),
  };
}

function decodeApplicationTunnel({
  applicationTunnel: tunnel,
}: WorkloadMessage): Pick<Workload, 'applicationTunnel'> {
  if (tunnel === undefined) {
    return {};
  }
  const protocol = applicationProtocolName(tunnel.protocol);
  const port = tunnel.port === 0 ? 0 : checkPort(tunnel.port, 'application tunnel port');
  return { applicationTunnel: { protocol, port } };
}

function decodeTunnelProtocol(value: number): Workload['tunnelProtocol'] {
  const name = tunnelProtocolName(value);
  if (name === 'LEGACY_ISTIO_MTLS') {
    throw invalidResource('unsupported tunnel protocol: legacy istio mtls');
  }
  return name;
}

/** Sorted, so that equal workloads are equal bytes. */
function encodeServices(services: Workload['services']): WorkloadMessage['services'] {
  return Object.fromEntries(
    sortedEntries(services).map(([key, ports]) => [
      key,
      create(PortListSchema, { ports: ports.map(encodePort) }),
    ]),
  );
}

function decodeServices(services: WorkloadMessage['services']): Workload['services'] {
  const decoded: Record<string, readonly PortMapping[]> = Object.create(null);
  for (const [key, list] of Object.entries(services)) {
    if (!/^[^/]+\/[^/]+$/.test(key)) {
      throw invalidResource(`${JSON.stringify(key.slice(0, 80))} is not namespace/hostname`);
    }
    decoded[key] = list.ports.map(decodePort);
  }
  return { ...decoded };
}

function extensionsOf({ guard, labels, waypoint }: Workload): ExtensionFields[] {
  const extensions = waypointExtensions(waypoint);
  if (guard !== undefined) {
    const message = create(GuardSchema, {
      exclusive: guard.exclusive,
      waypointIdentities: [...guard.waypointIdentities],
      ports: [...guard.ports],
      because: [...guard.because],
    });
    extensions.push(encodeExtension({ ...GUARD, message }));
  }
  if (Object.keys(labels).length > 0) {
    const message = create(LabelsSchema, { labels: Object.fromEntries(sortedEntries(labels)) });
    extensions.push(encodeExtension({ ...LABELS, message }));
  }
  return extensions;
}

const GUARD = {
  name: EXTENSION_NAME.guard,
  typeUrl: EXTENSION_TYPE_URL.guard,
  schema: GuardSchema,
} as const;
const LABELS = {
  name: EXTENSION_NAME.labels,
  typeUrl: EXTENSION_TYPE_URL.labels,
  schema: LabelsSchema,
} as const;

function decodeGuard(message: WorkloadMessage): Guard | undefined {
  const guard = findExtension(message.extensions, GUARD);
  return guard === undefined
    ? undefined
    : {
        waypointIdentities: guard.waypointIdentities,
        ports: guard.ports.map((port) => checkPort(port, 'guarded port')),
        exclusive: guard.exclusive,
        because: guard.because,
      };
}

function decodeLabels(message: WorkloadMessage): Workload['labels'] {
  return { ...findExtension(message.extensions, LABELS)?.labels };
}

function sortedEntries<T>(record: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
