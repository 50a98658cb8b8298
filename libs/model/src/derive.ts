/**
 * The derivations of the model, from objects to what proxies hold, in the order of their dependencies.
 *
 * Each reads only what stands above it. What an object changes is found by the reads that were recorded,
 * never by a rule written here; so a new derivation cannot forget to be recomputed.
 */
import type { ObjectKey } from '@ambit/api';
import type { CompiledPolicy } from '@ambit/policy';
import { staticStrictPolicy } from '@ambit/policy';

import type { AddressInputs } from './address/address-inputs.ts';
import {
  type DerivedAddresses,
  deriveAddresses,
  type GuardedWorkload,
} from './address/derive-addresses.ts';
import type { Collection } from './graph/collection.ts';
import type { Graph } from './graph/graph.ts';
import {
  classKey,
  hostBuckets,
  type ModelOptions,
  objectKey,
  selectorBucket,
} from './objects/keys.ts';
import { TRAFFIC_DISTRIBUTION } from './objects/labels.ts';
import { isOwnedBy } from './objects/revision.ts';
import { ANY, BY_ANY, type Sources } from './objects/sources.ts';
import { guardPolicies } from './policy/guard-policies.ts';
import {
  agentPolicy,
  attachPolicies,
  convertedPeer,
  type PolicyInfo,
  policyInfo,
} from './policy/policies.ts';
import { membershipsOf, SERVICES_BY_SELECTOR } from './service/memberships.ts';
import {
  addressBucket,
  compareServices,
  SERVICES_BY_ADDRESS,
  type ServiceSpec,
  serviceFromService,
  servicesFromEntry,
} from './service/services.ts';
import { BY_WORKLOAD, type SliceMember, sliceMembers } from './service/slices.ts';
import { allocateVips } from './service/vip-allocation.ts';
import type { Enrolment, NetworkAddress, PodFacts } from './types.ts';
import { routingOf } from './waypoint/routes.ts';
import { waypointFromGateway } from './waypoint/waypoints.ts';
import { readBypass } from './workload/bypass.ts';
import { type EnrolmentContext, enrolmentOf, type PodMode, podMode } from './workload/enrolment.ts';
import { podFacts } from './workload/pod-facts.ts';
import {
  podUid,
  type WorkloadSpec,
  workloadFromEntry,
  workloadFromPod,
  workloadsFromServiceEntry,
} from './workload/workloads.ts';

export const BY_KEY = 'key';
export const BY_HOSTNAME = 'hostname';
/** A gateway's own Service is meant by its very name alone. */
export const BY_WILDCARD = 'wildcard';
export const BY_OBJECT = 'object';
export const BY_GATEWAY = 'gateway';
export const BY_ADDRESS = 'address';
export const BY_POLICY = 'policy';
const ENROLLED_IN = 'enrolled-in';

export interface Derived extends AddressInputs, DerivedAddresses {
  readonly authorizations: Collection<CompiledPolicy>;
  readonly enrolments: Collection<Enrolment>;
  readonly podFacts: Collection<PodFacts>;
}

export function derive(graph: Graph, sources: Sources, options: ModelOptions): Derived {
  const services = deriveServices(graph, sources, options);
  const vips = deriveVips(graph, services, options);
  const { workloadSpecs, slices } = deriveWorkloadSpecs(graph, sources, services, options);
  const podModes = graph
    .flatMap('pod-modes', sources.pods, (pod) => {
      const namespace = sources.namespaces.get(objectKey('Namespace', '', pod.metadata.namespace));
      const uid = podUid(pod.metadata.namespace, pod.metadata.name, options);
      return [[uid, podMode(pod, namespace, contextOf(pod.metadata.namespace, sources, options))]];
    })
    .addIndex('exceptions', (mode) => (mode.differs ? [mode.namespace] : []))
    .addIndex(ENROLLED_IN, (mode) => (mode.isEnrolled ? [mode.namespace] : []));
  const enrolledNamespaces = graph.group('enrolled-in', podModes, ENROLLED_IN, () => true as const);
  const policies = graph.map('policies', sources.policies, (policy) => policyInfo(policy, options));
  const context = { sources, options, policy: (key: ObjectKey) => policies.get(key) };
  const attachments = graph
    .map('attachments', workloadSpecs, (workload) => attachPolicies(workload, context))
    .addIndex(BY_POLICY, (attachment) => attachment.selectedBy);
  const memberships = graph
    .map('memberships', workloadSpecs, (workload) => membershipsOf(workload, services, slices))
    .addIndex(BY_KEY, (found) => Object.keys(found));
  const waypoints = graph.map('waypoints', sources.gateways, (gateway) => {
    const { labels, namespace } = gateway.metadata;
    const around = sources.namespaces.get(objectKey('Namespace', '', namespace))?.metadata.labels;
    return isOwnedBy(options.revision, labels, around ?? {})
      ? waypointFromGateway(gateway, sources.gatewayClasses.get(classKey(gateway)), options)
      : undefined;
  });
  const waypointsByName = graph.flatMap('waypoints-by-name', waypoints, (definition) => [
    [definition.key, definition],
  ]);
  const readyGateways = graph.group('ready-gateways', workloadSpecs, BY_GATEWAY, (members) =>
    members.some((member) => member.isHealthy) ? true : undefined,
  );
  const routings = graph.map('routings', services, (service) =>
    routingOf(service, sources, options),
  );
  const addressInputs: AddressInputs = {
    sources,
    options,
    services,
    vips,
    workloadSpecs,
    podModes,
    enrolledNamespaces,
    policies,
    attachments,
    memberships,
    waypoints: waypointsByName,
    readyGateways,
    routings,
  };
  const addresses = deriveAddresses(graph, addressInputs);
  return {
    ...addressInputs,
    ...addresses,
    authorizations: deriveAuthorizations(graph, sources, policies, addresses.guarded, options),
    enrolments: deriveEnrolments(graph, { sources, options }, podModes),
    podFacts: derivePodFacts(graph, sources, options),
  };
}

function deriveServices(
  graph: Graph,
  sources: Sources,
  options: ModelOptions,
): Collection<ServiceSpec> {
  const fromServices = graph.map('services-from-services', sources.services, (service) => {
    const namespace = sources.namespaces.get(
      objectKey('Namespace', '', service.metadata.namespace),
    );
    return serviceFromService(
      service,
      namespace?.metadata.annotations[TRAFFIC_DISTRIBUTION],
      options,
    );
  });
  const fromEntries = graph.flatMap('services-from-entries', sources.serviceEntries, (entry) =>
    servicesFromEntry(entry, options),
  );
  const claims = graph
    .merge('service-claims', [fromServices, fromEntries])
    .addIndex(BY_KEY, (service) => [service.key]);
  return graph
    .group('services', claims, BY_KEY, (members) => [...members].sort(compareServices)[0])
    .addIndex(BY_HOSTNAME, (service) => [service.hostname])
    .addIndex(BY_OBJECT, (service) => [service.object])
    .addIndex(BY_WILDCARD, ({ isGateway, hostname }) =>
      isGateway ? [] : hostBuckets(hostname).slice(1),
    )
    .addIndex('vip', (service) => (service.wantsVip ? [ANY] : []))
    .addIndex(BY_ADDRESS, ({ addresses }) => addresses.map(addressBucket))
    .addIndex(SERVICES_BY_ADDRESS, ({ kind, addresses }) =>
      kind === 'Service' ? addresses.map(addressBucket) : [],
    )
    .addIndex(SERVICES_BY_SELECTOR, ({ namespace, selector }) =>
      selector === undefined ? [] : [selectorBucket(namespace, selector)],
    );
}

function deriveVips(
  graph: Graph,
  services: Collection<ServiceSpec>,
  options: ModelOptions,
): Collection<readonly NetworkAddress[]> {
  const all = graph.group('vip-allocation', services, 'vip', (claims) =>
    allocateVips(claims, options.network),
  );
  return graph.flatMap('vips', all, (allocated) => [...allocated]);
}

function deriveWorkloadSpecs(
  graph: Graph,
  sources: Sources,
  services: Collection<ServiceSpec>,
  options: ModelOptions,
): { readonly workloadSpecs: Collection<WorkloadSpec>; readonly slices: Collection<SliceMember> } {
  const fromPods = graph.flatMap('workloads-from-pods', sources.pods, (pod) => {
    const node = sources.nodes.get(objectKey('Node', '', pod.spec.nodeName));
    const workload = workloadFromPod(pod, node, options);
    return workload === undefined ? [] : [[workload.uid, workload]];
  });
  const fromEntries = graph.flatMap('workloads-from-entries', sources.workloadEntries, (entry) => {
    const workload = workloadFromEntry(entry, options);
    return [[workload.uid, workload]];
  });
  const inline = graph.flatMap('workloads-inline', sources.serviceEntries, (entry) =>
    workloadsFromServiceEntry(entry, options),
  );
  const known = [fromPods, fromEntries].map((workloads) =>
    workloads.addIndex(BY_ADDRESS, ({ addresses }) => addresses),
  );
  const context = { services, sources, known, byAddress: BY_ADDRESS, options };
  const slices = graph
    .flatMap('slice-members', sources.endpointSlices, (slice) => sliceMembers(slice, context))
    .addIndex(BY_WORKLOAD, ({ workload }) => [workload]);
  const outside = graph.flatMap('workloads-from-slices', slices, ({ own }) =>
    own === undefined ? [] : [[own.uid, own]],
  );
  const workloadSpecs = graph
    .merge('workload-specs', [fromPods, fromEntries, inline, outside])
    .addIndex(BY_GATEWAY, ({ gateway }) => (gateway === undefined ? [] : [gateway]))
    .addIndex(BY_ADDRESS, ({ addresses }) => addresses);
  return { workloadSpecs, slices };
}

/** Policies of people, of PeerAuthentication, and those that keep guards at foreign agents. */
function deriveAuthorizations(
  graph: Graph,
  sources: Sources,
  policies: Collection<PolicyInfo>,
  guarded: Collection<GuardedWorkload>,
  options: ModelOptions,
): Collection<CompiledPolicy> {
  const written = graph.flatMap('agent-policies', policies, (info) => {
    const policy = agentPolicy(info);
    return policy === undefined ? [] : [[info.name, policy]];
  });
  const converted = graph.flatMap('converted-peers', sources.peers, (peer) => {
    const policy = convertedPeer(peer, sources, options);
    return policy === undefined ? [] : [[`${policy.namespace}/${policy.name}`, policy]];
  });
  const strict = graph.group('static-strict', sources.peers, BY_ANY, () =>
    staticStrictPolicy(options.rootNamespace),
  );
  const strictByName = graph.flatMap('static-strict-by-name', strict, (policy) => [
    [`${policy.namespace}/${policy.name}`, policy],
  ]);
  const guards = graph.group('guard-policies', guarded, BY_POLICY, ([first], name) =>
    first === undefined ? undefined : guardPolicies(first).get(name),
  );
  return graph.merge('authorizations', [written, converted, strictByName, guards]);
}

function deriveEnrolments(
  graph: Graph,
  { sources, options }: { readonly sources: Sources; readonly options: ModelOptions },
  podModes: Collection<PodMode>,
): Collection<Enrolment> {
  const fromNamespaces = graph.flatMap('namespace-names', sources.namespaces, ({ metadata }) => [
    [metadata.name, true as const],
  ]);
  const fromPods = graph.group('excepted-namespaces', podModes, 'exceptions', () => true as const);
  const names = graph.merge('enrolment-names', [fromNamespaces, fromPods]);
  return graph.map('enrolments', names, (_, name) =>
    enrolmentOf(name, sources.namespaces.get(objectKey('Namespace', '', name)), {
      exceptions: podModes.lookup('exceptions', name),
      ...contextOf(name, sources, options),
    }),
  );
}

function contextOf(name: string, sources: Sources, { revision }: ModelOptions): EnrolmentContext {
  return { isBypassed: isBypassed(sources, name), revision };
}

/** Said of a namespace whose annotations no longer say it, it does not count. */
function isBypassed(sources: Sources, name: string): boolean {
  if (sources.bypassed.get(name) !== true) return false;
  const namespace = sources.namespaces.get(objectKey('Namespace', '', name));
  return namespace !== undefined && readBypass(namespace.metadata.annotations).bypass !== undefined;
}

function derivePodFacts(
  graph: Graph,
  sources: Sources,
  options: ModelOptions,
): Collection<PodFacts> {
  return graph.flatMap('pod-facts', sources.pods, (pod) => {
    const { name, namespace } = pod.metadata;
    const found = sources.namespaces.get(objectKey('Namespace', '', namespace));
    const facts = podFacts(pod, found, contextOf(namespace, sources, options));
    return facts === undefined ? [] : [[`${namespace}/${name}`, facts]];
  });
}
