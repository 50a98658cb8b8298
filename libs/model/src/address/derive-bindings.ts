/**
 * Which waypoint each service and each workload is bound to, why, and whether callers go there now.
 *
 * Rule: what policy needs a waypoint for, and has none, is refused; the reason of the binding says why there is none.
 */
import type { Namespace, ObjectKey } from '@ambit/api';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { objectKey } from '../objects/keys.ts';
import { isOwnedBy } from '../objects/revision.ts';
import type { ServiceSpec } from '../service/services.ts';
import { fallbackOf } from '../waypoint/fallback.ts';
import { foreignWaypoint, noWaypoint } from '../waypoint/foreign.ts';
import {
  combineBinding,
  type GuardedMember,
  gatewayPolicies,
  type ServiceBinding,
  type ServiceNeeds,
  serviceNeeds,
  targetingPolicies,
} from '../waypoint/needs.ts';
import { followedAt, type ServiceRouting } from '../waypoint/routes.ts';
import {
  type Binding,
  type BindingRequest,
  bindWaypoint,
  ON_DEMAND_NAME,
  onDemandWaypoint,
  type WaypointDefinition,
} from '../waypoint/waypoints.ts';
import { isInMesh } from '../workload/enrolment.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import type { AddressInputs } from './address-inputs.ts';
import { isGatewayProxy } from './gateway-pods.ts';

export const NO_NEEDS: ServiceNeeds = { hard: [], soft: [] };

/** No waypoint is had, whatever somebody says that callers do meanwhile. */
const UNSERVED: ReadonlySet<Binding['reason']> = new Set([
  'OptedOut',
  'WaypointNotFound',
  'AttachmentDenied',
  'UnsupportedTrafficType',
]);

/** A workload's own binding, for traffic to its address. */
export interface WorkloadBinding extends Binding {
  readonly isHard: boolean;
  readonly isActive: boolean;
  readonly isInMesh: boolean;
  /** Refusing policies on the waypoint: they concern every port of the workload. */
  readonly targeted: readonly ObjectKey[];
  readonly because: readonly ObjectKey[];
}

/** The Gateway of that name, or the one that would be made. */
export function definitionFor(key: string, inputs: AddressInputs): WaypointDefinition | undefined {
  const known = inputs.waypoints.get(key);
  if (known !== undefined) return known;
  const [namespace = '', name] = key.split('/');
  return name === ON_DEMAND_NAME ? onDemandWaypoint(namespace, inputs.options) : undefined;
}

/** By the service's key. */
export function deriveServiceBindings(
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
        following: followingAt(binding, service, routings.get(service.key), inputs),
      });
    })
    .addIndex('waypoint', ({ waypoint }) => (waypoint === undefined ? [] : [waypoint]));
}

/** None is made for these. What is had follows them, and they are not in force without it. */
function followingAt(
  binding: Binding,
  service: ServiceSpec,
  routing: ServiceRouting | undefined,
  inputs: AddressInputs,
): readonly ObjectKey[] {
  if (routing === undefined) return [];
  if (binding.reason !== 'Bound') return routing.following;
  return [...new Set([...routing.following, ...followedAt(binding, service, routing, inputs)])];
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

/** By the workload's uid; none of a proxy's own, nor of what has the addresses of its node. */
export function deriveWorkloadBindings(
  graph: Graph,
  inputs: AddressInputs,
): Collection<WorkloadBinding> {
  return graph
    .map('workload-bindings', inputs.workloadSpecs, (workload) => bindWorkload(workload, inputs))
    .addIndex('waypoint', ({ waypoint }) => (waypoint === undefined ? [] : [waypoint]));
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

/** One that somebody else runs counts as ready: nobody here can tell. */
function isReady(definition: WaypointDefinition, { readyGateways }: AddressInputs): boolean {
  return definition.isUnmanaged || readyGateways.get(definition.key) === true;
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
