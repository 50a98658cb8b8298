/**
 * The last part of the way: guards, and the resources that proxies hold.
 *
 * Rule: what a policy needs a waypoint for is guarded, whether there is one or not.
 */
import type { ObjectKey } from '@ambit/api';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { type GuardPolicyRequest, guardPolicies } from '../policy/guard-policies.ts';
import { ownMemberships } from '../service/memberships.ts';
import {
  addressBucket,
  compareServices,
  SERVICES_BY_ADDRESS,
  type ServiceSpec,
} from '../service/services.ts';
import type { Guard, MeshService, Workload } from '../types.ts';
import {
  type GuardedMember,
  gatewayPolicies,
  guardedMember,
  MEMBERS_BY_SERVICE,
  type ServiceBinding,
} from '../waypoint/needs.ts';
import type { Binding, WaypointDefinition } from '../waypoint/waypoints.ts';
import { isInMesh } from '../workload/enrolment.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import type { AddressInputs } from './address-inputs.ts';
import { buildService, buildWorkload, guardOf } from './addresses.ts';
import {
  definitionFor,
  deriveServiceBindings,
  deriveWorkloadBindings,
  NO_NEEDS,
  type WorkloadBinding,
} from './derive-bindings.ts';
import { behindAgentOf, closedGuard, isGatewayProxy } from './gateway-pods.ts';

export interface GuardedWorkload extends GuardPolicyRequest {}

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
  const workloadBindings = deriveWorkloadBindings(graph, inputs);
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

function isPending(workload: WorkloadSpec, { sources }: AddressInputs): boolean {
  return sources.pending.get(workload.uid) === true;
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
