/**
 * Waypoints that should run, and what each of them has to know.
 *
 * A scope is closed: with a route come the rules of every host it sends to, with a workload all policies
 * that could concern it. Too much in a scope costs bytes; too little would be a policy not enforced.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';

import { BY_HOSTNAME, type Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { destinationHosts } from '../objects/destinations.ts';
import { keyOf, objectKey } from '../objects/keys.ts';
import { BY_NAMESPACE, BY_TARGET } from '../objects/sources.ts';
import type { WaypointSpec } from '../types.ts';
import { appliedRules, destinationRulesFor, isOf, ruleOwners } from './applied-rules.ts';
import { serviceAt } from './host-meaning.ts';
import type { ServiceBinding } from './needs.ts';
import { ownersOf, virtualServicesOf } from './routes.ts';
import { ON_DEMAND_CLASS } from './waypoints.ts';

/** One service or workload behind a waypoint. */
interface WaypointUser {
  readonly waypoint: string;
  readonly because: readonly ObjectKey[];
  readonly objects: ReadonlySet<ObjectKey>;
  /** DestinationRules among them that the waypoint applies to what it sends somewhere. */
  readonly rules: ReadonlySet<ObjectKey>;
  /** Namespaces whose policies may concern it. */
  readonly namespaces: ReadonlySet<string>;
}

export interface DerivedWaypoints {
  readonly specs: Collection<WaypointSpec>;
  readonly scopes: Collection<ReadonlySet<ObjectKey>>;
  readonly objects: Collection<MeshObject>;
  /** Whether a waypoint applies a DestinationRule to what it sends somewhere. */
  readonly isRuleApplied: (rule: ObjectKey) => boolean;
}

const BY_WAYPOINT = 'waypoint';
const BY_RULE = 'rule';

export function deriveWaypoints(graph: Graph, derived: Derived): DerivedWaypoints {
  const users = deriveUsers(graph, derived);
  return {
    specs: deriveSpecs(graph, derived, users),
    // One behind its agent asks for nothing, and nobody waits until it has it.
    scopes: graph.group('scopes', users, BY_WAYPOINT, (members, waypoint) =>
      derived.waypoints.get(waypoint)?.behindAgent === undefined
        ? scopeOf(waypoint, members, derived)
        : undefined,
    ),
    objects: deriveObjects(graph, derived),
    isRuleApplied: (rule) => users.hasAny(BY_RULE, rule),
  };
}

function deriveUsers(graph: Graph, derived: Derived): Collection<WaypointUser> {
  const ofServices = graph.flatMap('waypoint-services', derived.serviceBindings, (binding, key) =>
    binding.reason === 'Bound' && binding.waypoint !== undefined
      ? [[`service:${key}`, serviceUser(key, binding.waypoint, binding, derived)]]
      : [],
  );
  const ofWorkloads = graph.flatMap(
    'waypoint-workloads',
    derived.workloadBindings,
    (binding, uid) => {
      const namespace = derived.workloadSpecs.get(uid)?.namespace ?? '';
      const { waypoint, because } = binding;
      return binding.reason === 'Bound' && waypoint !== undefined
        ? [
            [
              `workload:${uid}`,
              {
                waypoint,
                because,
                objects: new Set<ObjectKey>(),
                rules: new Set<ObjectKey>(),
                namespaces: new Set([namespace]),
              },
            ],
          ]
        : [];
    },
  );
  return graph
    .merge('waypoint-users', [ofServices, ofWorkloads])
    .addIndex(BY_WAYPOINT, (user) => [user.waypoint])
    .addIndex(BY_RULE, (user) => user.rules);
}

function serviceUser(
  key: string,
  waypoint: string,
  binding: ServiceBinding,
  derived: Derived,
): WaypointUser {
  const { sources, services, routings } = derived;
  const service = services.get(key);
  const routing = routings.get(key);
  const virtualServices =
    service === undefined
      ? []
      : virtualServicesOf(service, ownersOf(service.namespace, binding), sources).map(keyOf);
  const objects = new Set<ObjectKey>([
    ...(routing?.routes ?? []),
    ...virtualServices,
    ...(service === undefined ? [] : sources.requests.keysOf(BY_TARGET, service.object)),
    ...(service === undefined ? [] : sources.policies.keysOf(BY_TARGET, service.object)),
  ]);
  const namespaces = new Set(service === undefined ? [] : [service.namespace]);
  const reach: Reach = { waypoint, objects, rules: new Set(), namespaces };
  // Without a route it goes to its own host, which may be another's too.
  if (service !== undefined) addHost(service.hostname, reach, derived);
  for (const object of [...(routing?.routes ?? []), ...virtualServices]) {
    addDestinations(object, reach, derived);
  }
  const { rules } = reach;
  return { waypoint, because: binding.because, objects, rules, namespaces };
}

/** Rules among which the waypoint picks for what it sends to a service. */
function rulesAt(
  waypoint: string,
  service: { readonly namespace: string; readonly hostname: string },
  { sources, options }: Pick<Derived, 'sources' | 'options'>,
): readonly ObjectKey[] {
  const [at = ''] = waypoint.split('/');
  const owners = ruleOwners(service.namespace, at, options.rootNamespace);
  return destinationRulesFor(service, at, sources).filter(isOf(owners)).map(keyOf);
}

interface Reach {
  readonly waypoint: string;
  readonly objects: Set<ObjectKey>;
  readonly rules: Set<ObjectKey>;
  readonly namespaces: Set<string>;
}

/** The rules and the namespaces of everything that a routing object sends to. */
function addDestinations(key: ObjectKey, into: Reach, derived: Derived): void {
  const { sources, options } = derived;
  const object = sources.routes.get(key) ?? sources.virtualServices.get(key);
  if (object === undefined) return;
  const { hosts, delegates } = destinationHosts(object, options.clusterDomain);
  for (const delegate of delegates) {
    if (into.objects.has(delegate)) continue;
    into.objects.add(delegate);
    addDestinations(delegate, into, derived);
  }
  for (const host of hosts) addHost(host, into, derived);
}

/** Of all services that have it: which of them is meant may be another tomorrow, without a change of theirs. */
function addHost(host: string, into: Reach, derived: Derived): void {
  for (const service of derived.services.lookup(BY_HOSTNAME, host)) {
    into.namespaces.add(service.namespace);
    for (const rule of rulesAt(into.waypoint, service, derived)) into.objects.add(rule);
  }
  const [at = ''] = into.waypoint.split('/');
  const meant = serviceAt(host, at, derived);
  for (const rule of meant === undefined ? [] : appliedRules(meant, at, derived)) {
    into.rules.add(rule);
  }
}

function scopeOf(
  waypoint: string,
  users: readonly WaypointUser[],
  { sources, options, waypoints }: Derived,
): ReadonlySet<ObjectKey> {
  const [namespace = '', name = ''] = waypoint.split('/');
  const className = waypoints.get(waypoint)?.className ?? 'istio-waypoint';
  const namespaces = new Set([namespace, options.rootNamespace]);
  const scope = new Set<ObjectKey>();
  for (const user of users) {
    for (const key of user.objects) scope.add(key);
    for (const other of user.namespaces) namespaces.add(other);
  }
  for (const other of namespaces) {
    for (const key of sources.policies.keysOf(BY_NAMESPACE, other)) scope.add(key);
    for (const key of sources.requests.keysOf(BY_NAMESPACE, other)) scope.add(key);
  }
  for (const target of [objectKey('Gateway', namespace, name), `GatewayClass/${className}`]) {
    for (const key of sources.policies.keysOf(BY_TARGET, target)) scope.add(key);
  }
  return new Set([...scope].sort());
}

function deriveSpecs(
  graph: Graph,
  derived: Derived,
  users: Collection<WaypointUser>,
): Collection<WaypointSpec> {
  const { waypoints } = derived;
  const managed = graph.map('managed-waypoints', waypoints, (definition) =>
    definition.isUnmanaged || definition.object === undefined
      ? undefined
      : {
          namespace: definition.namespace,
          name: definition.name,
          serviceAccount: definition.serviceAccount,
          className: definition.className,
          onDemand: false,
          because: [definition.object],
          ...(definition.partName === undefined ? {} : { partName: definition.partName }),
          ...(definition.infrastructure === undefined
            ? {}
            : { infrastructure: definition.infrastructure }),
        },
  );
  const onDemand = graph.group('on-demand-waypoints', users, BY_WAYPOINT, (members, key) => {
    if (waypoints.get(key) !== undefined) return undefined;
    const [namespace = '', name = ''] = key.split('/');
    const because = [...new Set(members.flatMap((member) => member.because))].sort();
    return {
      namespace,
      name,
      serviceAccount: name,
      className: ON_DEMAND_CLASS,
      onDemand: true,
      because,
    };
  });
  return graph.merge('waypoint-specs', [managed, onDemand]);
}

function deriveObjects(graph: Graph, { sources }: Derived): Collection<MeshObject> {
  return graph.merge<MeshObject>('objects', [
    sources.policies as Collection<MeshObject>,
    sources.requests as Collection<MeshObject>,
    sources.virtualServices as Collection<MeshObject>,
    sources.destinationRules as Collection<MeshObject>,
    sources.routes as Collection<MeshObject>,
  ]);
}
