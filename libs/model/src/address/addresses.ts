/**
 * The resources that proxies get: a workload and a service with everything that others add to them.
 */
import type { ObjectKey } from '@ambit/api';
import type { ModelOptions } from '../objects/keys.ts';
import type { Attachment } from '../policy/policies.ts';
import type { Memberships } from '../service/memberships.ts';
import { servicePorts } from '../service/memberships.ts';
import type { ServiceSpec } from '../service/services.ts';
import type {
  ApplicationTunnel,
  GatewayAddress,
  Guard,
  MeshService,
  NetworkAddress,
  Workload,
} from '../types.ts';
import type { ServiceBinding } from '../waypoint/needs.ts';
import type { WaypointDefinition } from '../waypoint/waypoints.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';

export interface WorkloadParts {
  readonly spec: WorkloadSpec;
  readonly memberships: Memberships;
  readonly attachment: Attachment;
  /** Enrolled, whether captured yet or not. */
  readonly isInMesh: boolean;
  readonly isCaptured: boolean;
  readonly waypoint?: GatewayAddress;
  readonly guard?: Guard;
  /** Of a pod of a waypoint behind its agent. */
  readonly applicationTunnel?: ApplicationTunnel;
  /** Names of the policies that let a foreign agent keep the guard. */
  readonly guardPolicies: readonly string[];
}

export function buildWorkload(parts: WorkloadParts, options: ModelOptions): Workload {
  const { spec, memberships, attachment } = parts;
  const isTunnelled = spec.kind === 'Pod' ? parts.isCaptured : spec.isTunnelled;
  return {
    uid: spec.uid,
    name: spec.name,
    namespace: spec.namespace,
    addresses: spec.addresses,
    network: spec.network,
    tunnelProtocol: isTunnelled || spec.nativeTunnel ? 'HBONE' : 'NONE',
    trustDomain: options.trustDomain,
    serviceAccount: spec.serviceAccount,
    ...(parts.waypoint === undefined ? {} : { waypoint: parts.waypoint }),
    node: spec.node,
    canonicalName: spec.canonicalName,
    canonicalRevision: spec.canonicalRevision,
    // What the reference says of every workload, whatever owns it, but for mere addresses.
    workloadType: spec.kind === 'EndpointSlice' ? 'DEPLOYMENT' : 'POD',
    workloadName: spec.workloadName,
    nativeTunnel: spec.nativeTunnel,
    authorizationPolicies: [...attachment.names, ...parts.guardPolicies],
    status: spec.isHealthy ? 'HEALTHY' : 'UNHEALTHY',
    clusterId: options.clusterId,
    hostname: spec.hostname,
    services: memberships,
    networkMode: spec.isHostNetwork ? 'HOST_NETWORK' : 'STANDARD',
    ...(spec.locality === undefined ? {} : { locality: spec.locality }),
    capacity: spec.capacity,
    ...(parts.guard === undefined ? {} : { guard: parts.guard }),
    ...(parts.applicationTunnel === undefined
      ? {}
      : { applicationTunnel: parts.applicationTunnel }),
    labels: spec.labels,
  };
}

export function buildService(
  spec: ServiceSpec,
  parts: {
    readonly addresses: readonly NetworkAddress[];
    readonly waypoint?: GatewayAddress;
    readonly isCanonical: boolean;
  },
): MeshService {
  return {
    name: spec.name,
    namespace: spec.namespace,
    hostname: spec.hostname,
    addresses: parts.addresses,
    ports: servicePorts(spec),
    subjectAltNames: spec.subjectAltNames,
    ...(parts.waypoint === undefined ? {} : { waypoint: parts.waypoint }),
    ...(spec.loadBalancing === undefined ? {} : { loadBalancing: spec.loadBalancing }),
    ipFamilies: spec.ipFamilies,
    canonical: parts.isCanonical,
    ingressUseWaypoint: spec.ingressUseWaypoint,
  };
}

export interface GuardRequest {
  readonly attachment: Attachment;
  readonly memberships: Memberships;
  /** Bindings of the workload's services. */
  readonly services: readonly (ServiceBinding & { readonly isHeadless: boolean })[];
  /** Refusing policies on the workload's own waypoint. */
  readonly targeted: readonly ObjectKey[];
  readonly own?: WaypointDefinition;
  readonly definition: (key: string) => WaypointDefinition | undefined;
}

/**
 * Refusing policies guard: those on the workload or on its waypoint every port, those on a service the ports of that
 * service, or every port where the service has no address of its own and callers come by the pod's.
 * One guard has one meaning, so a port that is only routed is guarded too while another is by policy.
 * A waypoint behind its agent is never the one that may pass: it decides nothing, and agents judge what comes from it.
 */
export function guardOf(request: GuardRequest): Guard | undefined {
  const { attachment, services } = request;
  const targeted = services.filter((binding) => binding.targeted.length > 0);
  const routed = services.filter((binding) => binding.isActive && !isBehindAgent(binding, request));
  const because: readonly ObjectKey[] = [
    ...attachment.hard,
    ...request.targeted,
    ...targeted.flatMap((binding) => binding.targeted),
  ];
  if (because.length > 0) {
    const isWhole =
      attachment.hard.length + request.targeted.length > 0 ||
      targeted.some(({ isHeadless }) => isHeadless);
    const ports = isWhole ? [] : portsOf([...targeted, ...routed], request.memberships);
    return {
      waypointIdentities: identitiesOf(services, request),
      ports,
      exclusive: true,
      because: [...new Set(because)].sort(),
    };
  }
  const ports = portsOf(routed, request.memberships);
  if (ports.length === 0 || !attachment.hasAgentPolicies) return undefined;
  return {
    waypointIdentities: identitiesOf(routed, request),
    ports,
    exclusive: false,
    because: [...new Set(routed.flatMap((binding) => binding.because))].sort(),
  };
}

function identitiesOf(
  services: readonly ServiceBinding[],
  request: GuardRequest,
): readonly string[] {
  const definitions = [request.own, ...services.map((binding) => boundTo(binding, request))];
  const identities = definitions.flatMap((found) =>
    found === undefined || found.behindAgent !== undefined ? [] : [found.identity],
  );
  return [...new Set(identities)].sort();
}

function isBehindAgent(binding: ServiceBinding, request: GuardRequest): boolean {
  return boundTo(binding, request)?.behindAgent !== undefined;
}

function boundTo(
  { reason, waypoint }: ServiceBinding,
  { definition }: GuardRequest,
): WaypointDefinition | undefined {
  return reason === 'Bound' && waypoint !== undefined ? definition(waypoint) : undefined;
}

function portsOf(services: readonly ServiceBinding[], memberships: Memberships): readonly number[] {
  const ports = new Set<number>();
  for (const { key } of services) {
    for (const { targetPort } of memberships[key] ?? []) ports.add(targetPort);
  }
  return [...ports].sort((a, b) => a - b);
}
