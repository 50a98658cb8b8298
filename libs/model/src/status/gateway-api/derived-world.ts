/**
 * Gateway API's questions answered from the model's collections, so that a status is computed again exactly
 * when an answer changes.
 */
import type { Gateway, Service, ServiceEntry } from '@ambit/api';

import { BY_HOSTNAME, type Derived } from '../../derive.ts';
import { byAge, keyOf, objectKey, selects } from '../../objects/keys.ts';
import { WAYPOINT_CLASSES } from '../../objects/labels.ts';
import { BY_NAMESPACE, BY_TARGET, type Route, targetBucket } from '../../objects/sources.ts';
import type { ObjectStatus } from '../../types.ts';
import { runElsewhere } from '../run-elsewhere.ts';
import { gatewayApiStatus } from './gateway-status.ts';
import { routeParentStatuses } from './route-status.ts';
import type {
  BackendRefFacts,
  GatewayApiWorld,
  GatewayFacts,
  GatewayState,
  GrantQuestion,
  ListenerFacts,
  ParentRefFacts,
  RouteFacts,
  RouteKind,
  ServiceFacts,
} from './world.ts';

/** Who writes our entries of `parents` and `ancestors`. */
export const GATEWAY_CONTROLLER = 'ambit.io/mesh-controller';

/** The first of two kinds at one port of a service is served. */
const PRECEDENCE: readonly RouteKind[] = ['GRPCRoute', 'HTTPRoute', 'TLSRoute', 'TCPRoute'];
const SERVED: readonly RouteKind[] = ['GRPCRoute', 'HTTPRoute', 'TCPRoute'];

export function derivedWorld({ sources, services }: Derived): GatewayApiWorld {
  return {
    controllerName: GATEWAY_CONTROLLER,
    servedRoutes: SERVED,
    gateway: ({ namespace, name }) => {
      const gateway = sources.gateways.get(objectKey('Gateway', namespace, name));
      return gateway === undefined ? undefined : gatewayFacts(gateway, sources);
    },
    service: (of) => factsOf(sources.services.get(objectKey('Service', of.namespace, of.name))),
    serviceEntry: (of) =>
      factsOf(sources.serviceEntries.get(objectKey('ServiceEntry', of.namespace, of.name))),
    hostname: (name) => {
      const [found] = services.lookup(BY_HOSTNAME, name.toLowerCase());
      const ports = found?.ports.map(({ servicePort }) => servicePort);
      return ports === undefined ? undefined : { ports, isExternalName: false };
    },
    // Neither is read: waypoints have no certificates but the mesh's.
    secret: () => undefined,
    configMapHasCa: () => false,
    isGranted: (question) => isGranted(question, sources),
    beatenBy: (route, parent) => winnerOver(route, parent, sources),
  };
}

export function gatewayStanza(gateway: Gateway, derived: Derived): ObjectStatus['gatewayApi'] {
  const facts = gatewayFacts(gateway, derived.sources);
  if (facts === undefined) return undefined;
  // Routes are bound to services and never to a waypoint itself.
  const status = gatewayApiStatus(facts, [], stateOf(gateway, derived), derivedWorld(derived));
  return { kind: 'gateway', gateway: status };
}

export function routeStanza(route: Route, derived: Derived): ObjectStatus['gatewayApi'] {
  const parents = routeParentStatuses(routeFacts(route), derivedWorld(derived));
  return { kind: 'parents', parents };
}

/** The route that goes before this one everywhere at a parent. */
export function winnerAt(
  { kind, metadata }: Route,
  parent: ParentRefFacts,
  { sources }: Derived,
): string | undefined {
  return winnerOver({ kind, namespace: metadata.namespace }, parent, sources);
}

function routeFacts(route: Route): RouteFacts {
  const { kind, metadata, spec } = route;
  const { namespace, name, generation } = metadata;
  return {
    kind,
    namespace,
    name,
    generation,
    parentRefs: spec.parentRefs,
    hostnames: 'hostnames' in spec ? spec.hostnames : [],
    backendRefs: backendsOf(route),
  };
}

function backendsOf(route: Route): readonly BackendRefFacts[] {
  const own = route.spec.rules.flatMap(({ backendRefs }) => backendRefs);
  if (route.kind === 'TCPRoute') return own;
  const mirrors = route.spec.rules
    .flatMap(({ filters, backendRefs }) => [
      ...filters,
      ...backendRefs.flatMap((ref) => ref.filters),
    ])
    .flatMap((filter) =>
      filter.type === 'RequestMirror' ? [filter.requestMirror.backendRef] : [],
    );
  return [...own, ...mirrors];
}

function gatewayFacts(
  { metadata, spec }: Gateway,
  sources: Derived['sources'],
): GatewayFacts | undefined {
  if (!WAYPOINT_CLASSES.has(spec.gatewayClassName)) return undefined;
  const { namespace, name, generation } = metadata;
  const listeners = spec.listeners.map(
    (listener): ListenerFacts => ({
      name: listener.name,
      port: listener.port,
      protocol: listener.protocol,
      ...(listener.hostname === undefined ? {} : { hostname: listener.hostname }),
      admits: (other) => admits(listener.allowedRoutes.namespaces, { namespace, other }, sources),
      certificateRefs: [],
    }),
  );
  return {
    namespace,
    name,
    generation,
    className: spec.gatewayClassName,
    listeners,
    isWaypoint: true,
    requestedAddresses: spec.addresses,
  };
}

function admits(
  { from, selector }: Gateway['spec']['listeners'][number]['allowedRoutes']['namespaces'],
  { namespace, other }: { readonly namespace: string; readonly other: string },
  { namespaces }: Derived['sources'],
): boolean {
  if (from !== 'Selector') return from === 'All' || namespace === other;
  const labels = namespaces.get(objectKey('Namespace', '', other))?.metadata.labels;
  return labels !== undefined && selects(selector?.matchLabels ?? {}, labels);
}

/** Its own addresses if it has any, else those of the Service that is made for it. */
function stateOf({ metadata, spec }: Gateway, derived: Derived): GatewayState {
  const { namespace, name } = metadata;
  const key = `${namespace}/${name}`;
  if (spec.addresses.length > 0) {
    const definition = derived.waypoints.get(key);
    const isProgrammed =
      definition !== undefined &&
      runElsewhere(definition, metadata.generation, derived).programmed.status === 'True';
    const addresses = spec.addresses.map(({ type, value }): GatewayState['addresses'][number] => ({
      type: type === 'Hostname' ? 'Hostname' : 'IPAddress',
      value,
    }));
    return { isProgrammed, addresses };
  }
  const partName = derived.waypoints.get(key)?.partName ?? name;
  const service = derived.sources.services.get(objectKey('Service', namespace, partName));
  const ips = (service?.spec.clusterIPs ?? []).filter((ip) => ip !== 'None' && ip !== '');
  const hostname = `${partName}.${namespace}.svc.${derived.options.clusterDomain}`;
  const addresses =
    ips.length === 0
      ? []
      : [
          ...ips.map((value) => ({ type: 'IPAddress' as const, value })),
          { type: 'Hostname' as const, value: hostname },
        ];
  return { isProgrammed: derived.readyGateways.get(key) === true, addresses };
}

function factsOf(object: Service | ServiceEntry | undefined): ServiceFacts | undefined {
  if (object === undefined) return undefined;
  const ports =
    object.kind === 'Service'
      ? object.spec.ports.map(({ port }) => port)
      : object.spec.ports.map(({ number }) => number);
  return {
    ports,
    isExternalName: object.kind === 'Service' && object.spec.type === 'ExternalName',
  };
}

function winnerOver(
  route: Pick<RouteFacts, 'kind' | 'namespace'>,
  parent: ParentRefFacts,
  { routes }: Derived['sources'],
): string | undefined {
  const rank = PRECEDENCE.indexOf(route.kind);
  const bucket = targetBucket(parent, route.namespace);
  const winners = routes
    .lookup(BY_TARGET, bucket)
    .filter((other) => PRECEDENCE.indexOf(other.kind) < rank && covers(other, bucket, parent.port))
    .sort(byAge);
  const [first] = winners;
  return first === undefined ? undefined : keyOf(first);
}

function isGranted({ from, to }: GrantQuestion, { grants }: Derived['sources']): boolean {
  return grants
    .lookup(BY_NAMESPACE, to.namespace)
    .some(
      ({ spec }) =>
        spec.from.some(
          ({ group, kind, namespace }) =>
            group === from.group && kind === from.kind && namespace === from.namespace,
        ) &&
        spec.to.some(
          ({ group, kind, name }) =>
            group === to.group && kind === to.kind && (name === undefined || name === to.name),
        ),
    );
}

/** It is bound to every port that the parent means; without a number that is all. */
function covers({ metadata, spec }: Route, bucket: string, port: number | undefined): boolean {
  return spec.parentRefs.some(
    (ref) =>
      targetBucket(ref, metadata.namespace) === bucket &&
      (ref.port === undefined || ref.port === port),
  );
}
