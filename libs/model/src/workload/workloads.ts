/**
 * Workloads from what was written: a Pod, a WorkloadEntry, an inline endpoint of a ServiceEntry.
 *
 * A `WorkloadSpec` is what one object says by itself (and its Node, for the locality); services,
 * policies and waypoints are added by the derivations that follow.
 */
import {
  canonicalIp,
  type Node,
  type ObjectKey,
  type Pod,
  type ServiceEntry,
  type WorkloadEntry,
  type WorkloadEntrySpec,
} from '@ambit/api';

import { keyOf, type Labels, type ModelOptions } from '../objects/keys.ts';
import { GATEWAY_NAME, REDIRECTION, SIDECAR_STATUS, TUNNEL } from '../objects/labels.ts';
import type { Workload } from '../types.ts';

export interface WorkloadSpec {
  readonly uid: string;
  readonly object: ObjectKey;
  readonly kind: 'Pod' | 'WorkloadEntry' | 'ServiceEntry' | 'EndpointSlice';
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly network: string;
  readonly hostname: string;
  readonly serviceAccount: string;
  readonly node: string;
  readonly labels: Labels;
  readonly isHealthy: boolean;
  readonly isHostNetwork: boolean;
  /** Tunnels by itself or was captured by someone else; pods of the mesh are decided by enrolment. */
  readonly isTunnelled: boolean;
  readonly nativeTunnel: boolean;
  readonly capacity: number;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadName: string;
  readonly locality?: NonNullable<Workload['locality']>;
  /** Named ports: container ports of a pod, `ports` of an entry. */
  readonly namedPorts: Readonly<Record<string, number>>;
  /** Service keys of an inline endpoint; others are found by selector. */
  readonly inlineOf?: readonly string[];
  /** `namespace/name` of the Gateway that this is a proxy of. */
  readonly gateway?: string;
  /** Has a sidecar: never captured. */
  readonly hasSidecar: boolean;
}

/** `undefined` while the pod has no address, and once it has ended. */
export function workloadFromPod(
  pod: Pod,
  node: Node | undefined,
  options: ModelOptions,
): WorkloadSpec | undefined {
  const { metadata, spec, status } = pod;
  if (status.podIPs.length === 0 || status.phase === 'Succeeded' || status.phase === 'Failed') {
    return undefined;
  }
  const workloadName = ownerName(pod);
  const locality = node === undefined ? undefined : localityOfNode(node);
  const gateway = metadata.labels[GATEWAY_NAME];
  return {
    uid: podUid(metadata.namespace, metadata.name, options),
    object: keyOf(pod),
    kind: 'Pod',
    name: metadata.name,
    namespace: metadata.namespace,
    addresses: status.podIPs.flatMap((ip) => canonicalIp(ip) ?? []),
    network: options.network,
    hostname: '',
    serviceAccount: spec.serviceAccountName || 'default',
    node: spec.nodeName,
    labels: metadata.labels,
    isHealthy: status.ready && !status.terminating,
    isHostNetwork: spec.hostNetwork,
    isTunnelled: metadata.annotations[REDIRECTION] === 'enabled',
    nativeTunnel: metadata.labels[TUNNEL] === 'http',
    capacity: 1,
    ...canonicalOf(metadata.labels, workloadName),
    workloadName,
    ...(locality === undefined ? {} : { locality }),
    namedPorts: containerPorts(pod),
    ...(gateway === undefined ? {} : { gateway: `${metadata.namespace}/${gateway}` }),
    hasSidecar: metadata.annotations[SIDECAR_STATUS] !== undefined,
  };
}

export function podUid(namespace: string, name: string, options: ModelOptions): string {
  return `${options.clusterId}//Pod/${namespace}/${name}`;
}

export function workloadFromEntry(entry: WorkloadEntry, options: ModelOptions): WorkloadSpec {
  const { metadata, spec } = entry;
  const labels = { ...metadata.labels, ...spec.labels };
  const own = {
    uid: `networking.istio.io/WorkloadEntry/${metadata.namespace}/${metadata.name}`,
    labels,
  };
  return {
    ...fromEndpoint(spec, metadata, own, options),
    object: keyOf(entry),
    kind: 'WorkloadEntry',
    serviceAccount: spec.serviceAccount || 'default',
    isTunnelled: labels[TUNNEL] === 'http' || metadata.annotations[REDIRECTION] === 'enabled',
  };
}

/** The inline endpoints, or one that stands for the host's name where that is what gets resolved. */
export function workloadsFromServiceEntry(
  entry: ServiceEntry,
  options: ModelOptions,
): readonly (readonly [string, WorkloadSpec])[] {
  const { metadata, spec } = entry;
  if (spec.resolution === 'NONE' || spec.workloadSelector !== undefined) return [];
  const hosts = spec.hosts.map((host) => host.toLowerCase());
  const resolvesHosts = spec.endpoints.length === 0 && spec.resolution.startsWith('DNS');
  const endpoints: readonly (readonly [WorkloadEntrySpec, readonly string[]])[] = resolvesHosts
    ? hosts.filter((host) => !host.startsWith('*')).map((host) => [nameOnly(host), [host]])
    : spec.endpoints.map((endpoint) => [endpoint, hosts]);
  const found = endpoints.map(([endpoint, of]): readonly [string, WorkloadSpec] => {
    const uid = `networking.istio.io/ServiceEntry/${metadata.namespace}/${metadata.name}/${endpoint.address}`;
    const workload: WorkloadSpec = {
      ...fromEndpoint(endpoint, metadata, { uid, labels: endpoint.labels }, options),
      object: keyOf(entry),
      kind: 'ServiceEntry',
      inlineOf: of.map((host) => `${metadata.namespace}/${host}`),
    };
    return [workload.uid, workload];
  });
  return found;
}

function fromEndpoint(
  spec: WorkloadEntrySpec,
  metadata: { readonly name: string; readonly namespace: string },
  own: { readonly uid: string; readonly labels: Labels },
  options: ModelOptions,
): Omit<WorkloadSpec, 'object' | 'kind'> {
  const ip = canonicalIp(spec.address);
  const locality = parseLocality(spec.locality);
  return {
    uid: `${options.clusterId}/${own.uid}`,
    name: metadata.name,
    namespace: metadata.namespace,
    addresses: ip === undefined ? [] : [ip],
    network: spec.network || options.network,
    hostname: ip === undefined ? spec.address.toLowerCase() : '',
    serviceAccount: spec.serviceAccount,
    node: '',
    labels: own.labels,
    isHealthy: true,
    isHostNetwork: false,
    isTunnelled: own.labels[TUNNEL] === 'http',
    nativeTunnel: own.labels[TUNNEL] === 'http',
    capacity: spec.weight || 1,
    ...canonicalOf(own.labels, metadata.name),
    workloadName: metadata.name,
    ...(locality === undefined ? {} : { locality }),
    namedPorts: spec.ports,
    hasSidecar: false,
  };
}

function nameOnly(host: string): WorkloadEntrySpec {
  return {
    address: host,
    ports: {},
    labels: {},
    network: '',
    locality: '',
    weight: 1,
    serviceAccount: '',
  };
}

function canonicalOf(
  labels: Labels,
  fallback: string,
): { readonly canonicalName: string; readonly canonicalRevision: string } {
  return {
    canonicalName:
      labels['service.istio.io/canonical-name'] ??
      labels['app.kubernetes.io/name'] ??
      labels['app'] ??
      fallback,
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels['version'] ??
      'latest',
  };
}

/** A ReplicaSet of a Deployment is named `deployment-hash`; the hash is a label of the pod. */
function ownerName({ metadata }: Pod): string {
  const owner =
    metadata.ownerReferences?.find((reference) => reference.controller === true) ??
    metadata.ownerReferences?.[0];
  if (owner === undefined) return metadata.name;
  const suffix = `-${metadata.labels['pod-template-hash'] ?? ''}`;
  const isGenerated = owner.kind === 'ReplicaSet' && suffix !== '-' && owner.name.endsWith(suffix);
  return isGenerated ? owner.name.slice(0, -suffix.length) : owner.name;
}

function containerPorts({ spec }: Pod): Readonly<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const container of spec.containers) {
    for (const { name, containerPort } of container.ports) {
      if (name !== undefined) ports[name] ??= containerPort;
    }
  }
  return ports;
}

export function localityOfNode({ metadata }: Node): WorkloadSpec['locality'] | undefined {
  const region = metadata.labels['topology.kubernetes.io/region'] ?? '';
  const zone = metadata.labels['topology.kubernetes.io/zone'] ?? '';
  const subzone = metadata.labels['topology.istio.io/subzone'] ?? '';
  return region === '' && zone === '' && subzone === '' ? undefined : { region, zone, subzone };
}

function parseLocality(text: string): WorkloadSpec['locality'] | undefined {
  if (text === '') return undefined;
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
}
