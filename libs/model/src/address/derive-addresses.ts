/**
 * The last part of the way: bindings to waypoints, guards, and the resources themselves.
 */
import type { Namespace, ObjectKey } from '@ambit/api';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { type ModelOptions, objectKey } from '../objects/keys.ts';
import { isOwnedBy } from '../objects/revision.ts';
import type { Sources } from '../objects/sources.ts';
import { type GuardPolicyRequest, guardPolicies } from '../policy/guard-policies.ts';
import type { Attachment, PolicyInfo } from '../policy/policies.ts';
import { type Memberships, ownMemberships } from '../service/memberships.ts';
import {
  addressBucket,
  compareServices,
  SERVICES_BY_ADDRESS,
  type ServiceSpec,
} from '../service/services.ts';
import type { Guard, MeshService, NetworkAddress, Workload } from '../types.ts';
import { fallbackOf } from '../waypoint/fallback.ts';
import { foreignWaypoint, type KnownWaypoints, noWaypoint } from '../waypoint/foreign.ts';
import {
  combineBinding,
  type GuardedMember,
  gatewayPolicies,
  guardedMember,
  MEMBERS_BY_SERVICE,
  type ServiceBinding,
  type ServiceNeeds,
  serviceNeeds,
  targetingPolicies,
} from '../waypoint/needs.ts';
import type { ServiceRouting } from '../waypoint/routes.ts';
import {
  type Binding,
  type BindingRequest,
  bindWaypoint,
  ON_DEMAND_NAME,
  onDemandWaypoint,
  type WaypointDefinition,
} from '../waypoint/waypoints.ts';
import type { PodMode } from '../workload/enrolment.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import { buildService, buildWorkload, guardOf } from './addresses.ts';
import { behindAgentOf, closedGuard, runsWaypoint } from './gateway-pods.ts';

export interface AddressInputs {
  readonly sources: Sources;
  readonly options: ModelOptions;
  readonly services: Collection<ServiceSpec>;
  readonly vips: Collection<readonly NetworkAddress[]>;
  readonly workloadSpecs: Collection<WorkloadSpec>;
  readonly podModes: Collection<PodMode>;
  /** Namespaces with a pod that is enrolled. */
  readonly enrolledNamespaces: Collection<true>;
  readonly policies: Collection<PolicyInfo>;
  readonly attachments: Collection<Attachment>;
  readonly memberships: Collection<Memberships>;
  /** By `namespace/name`. */
  readonly waypoints: Collection<WaypointDefinition>;
  readonly readyGateways: Collection<true>;
  readonly routings: Collection<ServiceRouting>;
}

const NO_NEEDS: ServiceNeeds = { hard: [], soft: [] };

/** No waypoint is had, whatever somebody says that callers do meanwhile. */
const UNSERVED: ReadonlySet<Binding['reason']> = new Set([
  'OptedOut',
  'WaypointNotFound',
  'AttachmentDenied',
  'UnsupportedTrafficType',
]);

export interface GuardedWorkload extends GuardPolicyRequest {}

/** A workload's own binding, for traffic to its address. */
export interface WorkloadBinding extends Binding {
  readonly isHard: boolean;
  readonly isActive: boolean;
  readonly isInMesh: boolean;
  /** Refusing policies on the waypoint: they concern every port of the workload. */
  readonly targeted: readonly ObjectKey[];
  readonly because: readonly ObjectKey[];
}

export interface DerivedAddresses {
  readonly workloads: Collection<Workload>;
  readonly meshServices: Collection<MeshService>;
  readonly guarded: Collection<GuardedWorkload>;
  readonly serviceBindings: Collection<ServiceBinding>;
  readonly workloadBindings: Collection<WorkloadBinding>;
}

export function deriveAddresses(graph: Graph, inputs: AddressInputs): DerivedAddresses {
  const { workloadSpecs, attachments, memberships } = inputs;
  const members = graph
    .map('guarded-members', attachments, (attachment, uid): GuardedMember | undefined => {
      const workload = workloadSpecs.get(uid);
      if (workload === undefined || !isInMesh(workload, inputs)) return undefined;
      return guardedMember(attachment, ownMemberships(workload, memberships.get(uid)));
    })
    .addIndex(MEMBERS_BY_SERVICE, (member) => member.services);
  const serviceBindings = deriveServiceBindings(graph, inputs, members);
  const workloadBindings = graph
    .map('workload-bindings', workloadSpecs, (workload) => bindWorkload(workload, inputs))
    .addIndex('waypoint', ({ waypoint }) => (waypoint === undefined ? [] : [waypoint]));
  const guards = graph.map('guards', workloadSpecs, (workload) =>
    guardFor(workload, inputs, serviceBindings, workloadBindings.get(workload.uid)),
  );
  const guarded = graph
    .map('guarded', guards, (guard, uid): GuardedWorkload | undefined => {
      const namespace = workloadSpecs.get(uid)?.namespace ?? '';
      return { namespace, guard, hasAllow: attachments.get(uid)?.hasAllow ?? false };
    })
    .addIndex('policy', (request) => guardPolicies(request).keys());
  const workloads = graph.map('workloads', workloadSpecs, (spec) => {
    const attachment = attachments.get(spec.uid);
    if (attachment === undefined) return undefined;
    const binding = workloadBindings.get(spec.uid);
    const guard = guards.get(spec.uid);
    const request = guarded.get(spec.uid);
    const waypoint = activeAddress(binding, inputs);
    const applicationTunnel = behindAgentOf(spec, inputs)?.tunnel;
    return buildWorkload(
      {
        spec,
        memberships: memberships.get(spec.uid) ?? {},
        attachment,
        isInMesh: isInMesh(spec, inputs),
        // What is not this mesh's may be another's, which says on the pod that it has captured it.
        isCaptured: isInMesh(spec, inputs) ? !isPending(spec, inputs) : spec.isTunnelled,
        ...(waypoint === undefined ? {} : { waypoint }),
        ...(guard === undefined ? {} : { guard }),
        ...(applicationTunnel === undefined ? {} : { applicationTunnel }),
        guardPolicies: request === undefined ? [] : [...guardPolicies(request).keys()],
      },
      inputs.options,
    );
  });
  return {
    workloads,
    meshServices: deriveMeshServices(graph, inputs, serviceBindings),
    guarded,
    serviceBindings,
    workloadBindings,
  };
}

/** The Gateway of that name, or the one that would be made. */
export function definitionFor(key: string, inputs: AddressInputs): WaypointDefinition | undefined {
  const known = inputs.waypoints.get(key);
  if (known !== undefined) return known;
  const [namespace = '', name] = key.split('/');
  return name === ON_DEMAND_NAME ? onDemandWaypoint(namespace, inputs.options) : undefined;
}

function deriveServiceBindings(
  graph: Graph,
  inputs: AddressInputs,
  members: Collection<GuardedMember>,
): Collection<ServiceBinding> {
  const { services, routings, sources, policies } = inputs;
  return graph
    .map('service-bindings', services, (service): ServiceBinding => {
      const targeting = targetingPolicies(service.object, sources, policies);
      const needs = serviceNeeds(service, routings.get(service.key), targeting, members);
      const context = bindingContext(service.namespace, inputs);
      const binding = bindWaypoint(
        {
          namespace: service.namespace,
          labels: service.isGateway ? { 'istio.io/use-waypoint': 'none' } : service.labels,
          traffic: 'service',
          ...need(service.namespace, needs, inputs),
        },
        context,
      );
      const key = binding.waypoint;
      const definition = key === undefined ? undefined : definitionFor(key, inputs);
      const atGateway = policiesAt(binding, inputs);
      const fallback = fallbackOf(service.waypointFallback, {
        binding,
        definition,
        namespaceObject: context.namespaceObject,
      });
      const hard = [...needs.hard, ...atGateway.hard];
      const isOpened = fallback.isWritten && fallback.mode === 'direct';
      const isClosed =
        service.kind === 'ServiceEntry' &&
        hard.length > 0 &&
        (UNSERVED.has(binding.reason) || (binding.reason === 'NamespaceForeign' && !isOpened));
      return combineBinding({
        key: service.key,
        // Nobody stands before what an entry names but those who call it: so here they are who keeps the policy.
        binding: isClosed
          ? { ...binding, foreign: noWaypoint(service.namespace, binding) }
          : binding,
        needs: { hard, soft: [...needs.soft, ...atGateway.soft] },
        targeted: [...targeting.hard, ...atGateway.hard],
        isReady: definition !== undefined && isReady(definition, inputs),
        fallback,
        following: routings.get(service.key)?.following ?? [],
      });
    })
    .addIndex('waypoint', ({ waypoint }) => (waypoint === undefined ? [] : [waypoint]));
}

/** Policies on the waypoint of a binding, also of one that a label names and that is not there: who takes it away opens nothing. */
function policiesAt({ reason, waypoint }: Binding, inputs: AddressInputs): ServiceNeeds {
  if (waypoint === undefined) return NO_NEEDS;
  const { sources, policies } = inputs;
  if (reason === 'WaypointNotFound') {
    const [namespace = '', name = ''] = waypoint.split('/');
    return gatewayPolicies({ namespace, name }, sources, policies);
  }
  const definition = reason === 'Bound' ? definitionFor(waypoint, inputs) : undefined;
  return definition === undefined ? NO_NEEDS : gatewayPolicies(definition, sources, policies);
}

function bindWorkload(workload: WorkloadSpec, inputs: AddressInputs): WorkloadBinding | undefined {
  if (isGatewayProxy(workload, inputs) || workload.isHostNetwork) return undefined;
  const { hard, soft } = isInMesh(workload, inputs)
    ? (inputs.attachments.get(workload.uid) ?? NO_NEEDS)
    : NO_NEEDS;
  const context = bindingContext(workload.namespace, inputs);
  const binding = bindWaypoint(
    {
      namespace: workload.namespace,
      labels: workload.labels,
      traffic: 'workload',
      ...need(workload.namespace, { hard, soft }, inputs),
    },
    context,
  );
  const { waypoint } = binding;
  const definition = waypoint === undefined ? undefined : definitionFor(waypoint, inputs);
  const isBound = binding.reason === 'Bound' && definition !== undefined;
  const isMember = isInMesh(workload, inputs);
  const atGateway = isMember ? policiesAt(binding, inputs) : NO_NEEDS;
  const isHard = hard.length + atGateway.hard.length > 0;
  const { namespaceObject } = context;
  const fallback = fallbackOf(undefined, { binding, definition, namespaceObject });
  return {
    ...binding,
    isHard,
    isActive: isBound && (isHard || isReady(definition, inputs) || fallback.mode === 'refuse'),
    isInMesh: isMember,
    targeted: atGateway.hard,
    because: [...hard, ...atGateway.hard, ...soft, ...atGateway.soft],
  };
}

function guardFor(
  workload: WorkloadSpec,
  inputs: AddressInputs,
  serviceBindings: Collection<ServiceBinding>,
  own: WorkloadBinding | undefined,
): Guard | undefined {
  const attachment = inputs.attachments.get(workload.uid);
  if (attachment === undefined || !isInMesh(workload, inputs)) return undefined;
  const closed = closedGuard(workload, inputs);
  if (closed !== undefined) return closed;
  const definition = (key: string): WaypointDefinition | undefined => definitionFor(key, inputs);
  if (isGatewayProxy(workload, inputs)) {
    if (behindAgentOf(workload, inputs) === undefined) return undefined;
    // Its agent stands before it, and what a waypoint should decide nobody decides there: nobody gets in, at the one port that all calls come to.
    const targeted = targetedAtProxy(workload, inputs, serviceBindings);
    return guardOf({ attachment, memberships: {}, services: [], targeted, definition });
  }
  const memberships = inputs.memberships.get(workload.uid) ?? {};
  const services = ownMemberships(workload, memberships).flatMap((key) => {
    const binding = serviceBindings.get(key);
    const isHeadless = inputs.services.get(key)?.isHeadless === true;
    return binding === undefined ? [] : [{ ...binding, isHeadless }];
  });
  const ownDefinition =
    own?.isActive === true && own.waypoint !== undefined ? definition(own.waypoint) : undefined;
  return guardOf({
    attachment,
    memberships,
    services,
    targeted: own?.targeted ?? [],
    ...(ownDefinition === undefined ? {} : { own: ownDefinition }),
    definition,
  });
}

/** Refusing policies on the Gateway of a proxy behind its agent, and on its own Services. */
function targetedAtProxy(
  workload: WorkloadSpec,
  { waypoints, sources, policies, memberships }: AddressInputs,
  serviceBindings: Collection<ServiceBinding>,
): readonly ObjectKey[] {
  const definition = waypoints.get(workload.gateway ?? '');
  const atGateway =
    definition === undefined ? NO_NEEDS : gatewayPolicies(definition, sources, policies);
  const own = ownMemberships(workload, memberships.get(workload.uid));
  return [...atGateway.hard, ...own.flatMap((key) => serviceBindings.get(key)?.targeted ?? [])];
}

function deriveMeshServices(
  graph: Graph,
  inputs: AddressInputs,
  bindings: Collection<ServiceBinding>,
): Collection<MeshService> {
  const { services, vips } = inputs;
  return graph.map('mesh-services', services, (spec) => {
    const waypoint = activeAddress(bindings.get(spec.key), inputs);
    const [first] = [...services.lookup('hostname', spec.hostname)].sort(compareServices);
    return buildService(spec, {
      addresses: spec.wantsVip ? (vips.get(spec.key) ?? []) : spec.addresses,
      ...(waypoint === undefined ? {} : { waypoint }),
      isCanonical: first?.key === spec.key && !claimsAddress(spec, services),
    });
  });
}

function activeAddress(
  binding: (Binding & { readonly isActive: boolean }) | undefined,
  inputs: AddressInputs,
): WaypointDefinition['address'] | undefined {
  if (binding?.foreign !== undefined) return binding.foreign;
  if (binding?.isActive !== true || binding.waypoint === undefined) return undefined;
  return definitionFor(binding.waypoint, inputs)?.address;
}

/** One that somebody else runs counts as ready: nobody here can tell. */
function isReady(definition: WaypointDefinition, { readyGateways }: AddressInputs): boolean {
  return definition.isUnmanaged || readyGateways.get(definition.key) === true;
}

/** Enrolled, or tunnelling by itself. */
export function isInMesh(
  workload: WorkloadSpec,
  { podModes }: Pick<AddressInputs, 'podModes'>,
): boolean {
  if (workload.kind !== 'Pod') return workload.isTunnelled;
  return podModes.get(workload.uid)?.isEnrolled === true;
}

/** Before what is not captured nobody stands, so that its label takes nothing away. */
export function isGatewayProxy(
  workload: WorkloadSpec,
  inputs: KnownWaypoints & Pick<AddressInputs, 'podModes'>,
): boolean {
  if (workload.gateway === undefined) return false;
  return !isInMesh(workload, inputs) || runsWaypoint(workload, inputs);
}

function isPending(workload: WorkloadSpec, { sources }: AddressInputs): boolean {
  return sources.pending.get(workload.uid) === true;
}

/**
 * Whether objects that need HTTP have a waypoint made. Beside another mesh not in a namespace that is the other's, where its pods
 * would be called by the waypoint instead of the caller; but what is enrolled there is not left without who decides its policies.
 */
function need(
  namespace: string,
  { hard, soft }: ServiceNeeds,
  inputs: AddressInputs,
): Pick<BindingRequest, 'isNeeded' | 'isElsewhere'> {
  if (hard.length + soft.length === 0) return { isNeeded: false };
  const object = inputs.sources.namespaces.get(objectKey('Namespace', '', namespace));
  if (isOwnedBy(inputs.options.revision, object?.metadata.labels ?? {})) return { isNeeded: true };
  const isNeeded = hard.length > 0 && inputs.enrolledNamespaces.get(namespace) === true;
  return { isNeeded, isElsewhere: !isNeeded };
}

function bindingContext(
  namespace: string,
  inputs: AddressInputs,
): {
  readonly namespaceObject: Namespace | undefined;
  readonly definition: (key: string) => WaypointDefinition | undefined;
  readonly foreign: (key: string) => WaypointDefinition | undefined;
} {
  return {
    namespaceObject: inputs.sources.namespaces.get(objectKey('Namespace', '', namespace)),
    definition: (key) => inputs.waypoints.get(key),
    foreign: (key) => foreignWaypoint(key, inputs),
  };
}

/** Whether an entry has the address of a Service, which then owns it: clients elsewhere must get that. */
function claimsAddress(spec: ServiceSpec, services: Collection<ServiceSpec>): boolean {
  return (
    spec.kind === 'ServiceEntry' &&
    spec.addresses.some(
      (one) => services.lookup(SERVICES_BY_ADDRESS, addressBucket(one)).length > 0,
    )
  );
}
