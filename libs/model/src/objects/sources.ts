/**
 * The objects that people and the cluster wrote, by key, with the indexes that the derivations read.
 */
import {
  ANYWHERE,
  type AuthorizationPolicy,
  type DestinationRule,
  type EndpointSlice,
  type Finding,
  type Gateway,
  type GatewayClass,
  type GRPCRoute,
  type HTTPRoute,
  type LocalTargetRef,
  type MeshObject,
  type Namespace,
  type Node,
  type ObjectKey,
  type PeerAuthentication,
  type Pod,
  type ReferenceGrant,
  type RequestAuthentication,
  type Service,
  type ServiceEntry,
  STAND_IN,
  type TCPRoute,
  UNREAD,
  type VirtualService,
  type WorkloadEntry,
} from '@ambit/api';

import type { Graph, Source } from '../graph/graph.ts';
import { type Labels, type ModelOptions, objectKey, resolveHost, selectorBucket } from './keys.ts';
import { routesInMesh } from './mesh-rules.ts';

export type Route = GRPCRoute | HTTPRoute | TCPRoute;

export interface Sources {
  readonly namespaces: Source<Namespace>;
  readonly nodes: Source<Node>;
  readonly pods: Source<Pod>;
  readonly services: Source<Service>;
  readonly endpointSlices: Source<EndpointSlice>;
  readonly serviceEntries: Source<ServiceEntry>;
  readonly workloadEntries: Source<WorkloadEntry>;
  readonly policies: Source<AuthorizationPolicy>;
  readonly peers: Source<PeerAuthentication>;
  readonly requests: Source<RequestAuthentication>;
  readonly virtualServices: Source<VirtualService>;
  readonly destinationRules: Source<DestinationRule>;
  readonly gateways: Source<Gateway>;
  readonly gatewayClasses: Source<GatewayClass>;
  readonly routes: Source<Route>;
  readonly grants: Source<ReferenceGrant>;
  /** Refused versions of objects: what is wrong with them. */
  readonly refused: Source<readonly Finding[]>;
  /** Warnings about accepted objects. */
  readonly notes: Source<readonly Finding[]>;
  /** Objects of kinds that are not served: what is to be said. */
  readonly unsupported: Source<string>;
  /** Names of namespaces that are let out of the mesh now. */
  readonly bypassed: Source<true>;
  /** Uids of pods that an agent has captured. */
  readonly captured: Source<true>;
  /** Those of them that an agent has named, rather than that may have been captured before anybody could remember it. */
  readonly reported: Source<true>;
  /** Uids of pods that were published outside of the mesh and that no agent has captured yet. */
  readonly pending: Source<true>;
}

/** Index names, shared by writers and readers. */
export const BY_SELECTOR = 'selector';
export const BY_NAMESPACE_SCOPE = 'namespace-scope';
export const BY_NAMESPACE = 'namespace';
export const BY_TARGET = 'target';
export const BY_HOST = 'host';
export const BY_ANY = 'any';
/** The one bucket of `BY_ANY`. */
export const ANY = '*';

export function createSources(graph: Graph, options: ModelOptions): Sources {
  const { clusterDomain, rootNamespace } = options;
  return {
    namespaces: graph.source('namespaces'),
    nodes: graph.source('nodes'),
    pods: graph.source('pods'),
    services: graph.source('services'),
    endpointSlices: graph.source('endpoint-slices'),
    serviceEntries: graph.source('service-entries'),
    workloadEntries: graph.source('workload-entries'),
    policies: withScopes(graph.source<AuthorizationPolicy>('policies'), rootNamespace),
    peers: withSelector(graph.source<PeerAuthentication>('peer-authentications')),
    requests: withScopes(
      graph.source<RequestAuthentication>('request-authentications'),
      rootNamespace,
    ),
    virtualServices: withIndex(
      graph.source<VirtualService>('virtual-services'),
      BY_HOST,
      (object) =>
        routesInMesh(object)
          ? object.spec.hosts.map((host) =>
              resolveHost(host, object.metadata.namespace, clusterDomain),
            )
          : [],
    ),
    destinationRules: withIndex(
      graph.source<DestinationRule>('destination-rules'),
      BY_HOST,
      (object) => [resolveHost(object.spec.host, object.metadata.namespace, clusterDomain)],
    ),
    gateways: graph.source('gateways'),
    gatewayClasses: graph.source('gateway-classes'),
    routes: withIndex(graph.source<Route>('routes'), BY_TARGET, (object) =>
      object.spec.parentRefs.map((ref) => targetBucket(ref, object.metadata.namespace)),
    ),
    grants: withIndex(
      graph.source<ReferenceGrant>('reference-grants'),
      BY_NAMESPACE,
      ({ metadata }) => [metadata.namespace],
    ),
    refused: graph.source('refused'),
    notes: graph.source('notes'),
    unsupported: graph.source('unsupported'),
    bypassed: graph.source('bypassed'),
    captured: graph.source('captured'),
    reported: graph.source('reported'),
    pending: graph.source('pending'),
  };
}

/** The source that holds objects of a kind; `undefined` for kinds that the model has no use for. */
export function sourceOf(sources: Sources, kind: MeshObject['kind']): Source<never> | undefined {
  const byKind: Readonly<Record<string, unknown>> = {
    Namespace: sources.namespaces,
    Node: sources.nodes,
    Pod: sources.pods,
    Service: sources.services,
    EndpointSlice: sources.endpointSlices,
    ServiceEntry: sources.serviceEntries,
    WorkloadEntry: sources.workloadEntries,
    AuthorizationPolicy: sources.policies,
    PeerAuthentication: sources.peers,
    RequestAuthentication: sources.requests,
    VirtualService: sources.virtualServices,
    DestinationRule: sources.destinationRules,
    Gateway: sources.gateways,
    GatewayClass: sources.gatewayClasses,
    GRPCRoute: sources.routes,
    HTTPRoute: sources.routes,
    TCPRoute: sources.routes,
    ReferenceGrant: sources.grants,
  };
  return byKind[kind] as Source<never> | undefined;
}

/** `Service/shop/reviews`; the group does not matter, kinds are unique here. */
export function targetBucket(
  ref: Pick<LocalTargetRef, 'kind' | 'name' | 'namespace'>,
  own: string,
): ObjectKey {
  return ref.kind === 'GatewayClass'
    ? objectKey(ref.kind, '', ref.name)
    : objectKey(ref.kind, ref.namespace ?? own, ref.name);
}

/** The name of whatever can be named, in the place of a name. */
export function anyTarget(kind: string, namespace: string): ObjectKey {
  return objectKey(kind, namespace, '*');
}

/**
 * What a policy is attached to by name. A class of waypoints is everybody's: only the root namespace decides for it, also where a
 * policy is refused and stood in for, or any tenant could open or close another's services. What a waypoint cannot read holds there too.
 */
export function targetsOf(
  { metadata, spec }: Targeting,
  rootNamespace: string,
): readonly ObjectKey[] {
  const { annotations, namespace } = metadata;
  if (annotations[ANYWHERE] === 'true' && spec.targetRefs.length === 0) {
    return ['Gateway', 'Service', 'ServiceEntry'].map((kind) => anyTarget(kind, namespace));
  }
  const mayTargetClass = namespace === rootNamespace || annotations[STAND_IN] === UNREAD;
  return spec.targetRefs
    .filter(({ kind }) => kind !== 'GatewayClass' || mayTargetClass)
    .map((ref) => targetBucket(ref, namespace));
}

interface Selecting {
  readonly metadata: { readonly namespace: string; readonly annotations: Labels };
  readonly spec: { readonly selector?: { readonly matchLabels: Labels } };
}

interface Targeting extends Selecting {
  readonly spec: Selecting['spec'] & { readonly targetRefs: readonly LocalTargetRef[] };
}

/** A selector without pairs selects the whole namespace. */
export function hasSelector(object: Selecting): boolean {
  return Object.keys(object.spec.selector?.matchLabels ?? {}).length > 0;
}

function withSelector<V extends Selecting>(source: Source<V>): Source<V> {
  source.addIndex(BY_SELECTOR, (object) =>
    hasSelector(object)
      ? [selectorBucket(object.metadata.namespace, object.spec.selector?.matchLabels ?? {})]
      : [],
  );
  source.addIndex(BY_NAMESPACE_SCOPE, (object) =>
    hasSelector(object) || isTargeted(object) ? [] : [object.metadata.namespace],
  );
  source.addIndex(BY_NAMESPACE, (object) => [object.metadata.namespace]);
  source.addIndex(BY_ANY, () => [ANY]);
  return source;
}

function withScopes<V extends Targeting>(source: Source<V>, rootNamespace: string): Source<V> {
  withSelector(source);
  source.addIndex(BY_TARGET, (object) => targetsOf(object, rootNamespace));
  return source;
}

function withIndex<V>(
  source: Source<V>,
  name: string,
  extract: (value: V) => Iterable<string>,
): Source<V> {
  source.addIndex(name, extract);
  return source;
}

function isTargeted(object: Selecting): boolean {
  const spec = object.spec as Partial<Targeting['spec']>;
  return (spec.targetRefs ?? []).length > 0;
}
