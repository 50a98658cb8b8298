/** Statuses of the routing objects: what they attach to, and what they name that is not there. */
import type { DestinationRule, Finding, MeshObject, ObjectKey, VirtualService } from '@ambit/api';
import { BY_OBJECT, type Derived } from '../derive.ts';
import { destinationHosts, type NamedDestination } from '../objects/destinations.ts';
import { byAge, hostBuckets, keyOf, resolveHost, selects } from '../objects/keys.ts';
import { USE_WAYPOINT } from '../objects/labels.ts';
import { BY_HOST, type Route, targetBucket } from '../objects/sources.ts';
import type { ServiceSpec } from '../service/services.ts';
import type { Condition } from '../types.ts';
import { destinationRulesFor, ownersOf, virtualServicesOf } from '../waypoint/routes.ts';
import { condition, listKeys, warning } from './conditions.ts';
import { winnerAt } from './gateway-api/index.ts';
import {
  acceptedCondition,
  type StatusContext,
  type StatusParts,
  targetExists,
  waypointConditions,
} from './status-context.ts';

export function virtualServiceStatus(object: VirtualService, context: StatusContext): StatusParts {
  const { derived } = context;
  const { metadata, spec } = object;
  const { generation, namespace } = metadata;
  const findings: Finding[] = [...destinationFindings(object, derived)];
  const conditions: Condition[] = [];
  const outside = spec.gateways.filter((gateway) => gateway !== 'mesh');
  if (outside.length === 0) {
    conditions.push(acceptedCondition(object));
  } else {
    const message = `only traffic inside of the mesh is routed yet; no effect at: ${listKeys(outside)}`;
    conditions.push(condition('Accepted', 'True', 'UnsupportedField', message, generation));
    findings.push(warning('UNSUPPORTED_FIELD', 'spec.gateways', message));
  }
  const services = spec.gateways.includes('mesh')
    ? spec.hosts.flatMap((host) =>
        servicesOf(resolveHost(host, namespace, derived.options.clusterDomain), derived),
      )
    : [];
  if (spec.gateways.includes('mesh') && spec.hosts.length > 0) {
    conditions.push(attachedTo(object, services, derived));
    findings.push(...hostFindings(object, derived));
  }
  conditions.push(...waypointConditions(keyOf(object), generation, context));
  return { conditions, findings };
}

function attachedTo(
  object: VirtualService,
  services: readonly ServiceSpec[],
  derived: Derived,
): Condition {
  const { generation } = object.metadata;
  if (services.length === 0) {
    const message = `no service has host ${listKeys(object.spec.hosts)}`;
    return condition('Attached', 'False', 'TargetNotFound', message, generation);
  }
  const { namespace } = object.metadata;
  const heard = services.filter((service) =>
    ownersOf(service.namespace, derived.serviceBindings.get(service.key)).includes(namespace),
  );
  if (heard.length === 0) {
    const message = `only namespace "${services[0]?.namespace}", and that of its waypoint, say where its calls go`;
    return condition('Attached', 'False', 'NamespaceForeign', message, generation);
  }
  const routed = heard.filter(({ key }) => derived.routings.get(key)?.hasOwnRoutes !== true);
  if (routed.length === 0) {
    const message = 'a Gateway API route is bound to the same service and goes before it';
    return condition('Attached', 'False', 'Conflicted', message, generation);
  }
  const used = routed.filter((service) => moreSpecific(object, service, derived) === undefined);
  const [first] = routed;
  if (used.length === 0 && first !== undefined) {
    const message = `${moreSpecific(object, first, derived)} has a more specific host of the same service and goes before it`;
    return condition('Attached', 'False', 'Conflicted', message, generation);
  }
  const names = listKeys(used.map((service) => service.key));
  return condition('Attached', 'True', 'AtWaypoint', `routes ${names} at the waypoint`, generation);
}

/** The VirtualService that the waypoint takes for the service in place of this one; undefined where it takes this one. */
function moreSpecific(
  object: VirtualService,
  service: ServiceSpec,
  { sources, options, serviceBindings }: Derived,
): ObjectKey | undefined {
  const buckets = hostBuckets(service.hostname);
  const isCovering = object.spec.hosts.some((host) =>
    buckets.includes(resolveHost(host, object.metadata.namespace, options.clusterDomain)),
  );
  if (!isCovering) return undefined;
  const owners = ownersOf(service.namespace, serviceBindings.get(service.key));
  const taken = virtualServicesOf(service, owners, sources).map(keyOf);
  return taken.includes(keyOf(object)) ? undefined : taken[0];
}

/** Hosts that nobody serves, and hosts that an older VirtualService has too. */
function hostFindings(object: VirtualService, derived: Derived): readonly Finding[] {
  const { metadata, spec } = object;
  const findings: Finding[] = [];
  for (const [index, host] of spec.hosts.entries()) {
    const path = `spec.hosts[${index}]`;
    const resolved = resolveHost(host, metadata.namespace, derived.options.clusterDomain);
    if (servicesOf(resolved, derived).length === 0) {
      findings.push(
        warning('IST0101', path, `no service has host "${resolved}"`, shortNameHint(host)),
      );
    }
    const [first] = [...derived.sources.virtualServices.lookup(BY_HOST, resolved)].sort(byAge);
    if (first !== undefined && keyOf(first) !== keyOf(object)) {
      findings.push(warning('IST0109', path, `${keyOf(first)} is older and has the same host`));
    }
  }
  return findings;
}

function destinationFindings(object: VirtualService | Route, derived: Derived): readonly Finding[] {
  const findings: Finding[] = [];
  for (const destination of destinationHosts(object, derived.options.clusterDomain).named) {
    const { path, host, subset, written } = destination;
    const services = servicesOf(host, derived);
    if (services.length === 0) {
      findings.push(
        warning(
          'IST0101',
          `${path}.host`,
          `no service has host "${host}"; what goes there fails`,
          shortNameHint(written),
        ),
      );
    } else if (subset !== undefined && !hasSubset(destination, services, derived)) {
      findings.push(
        warning(
          'IST0101',
          `${path}.subset`,
          `no DestinationRule for "${host}" has subset "${subset}"; what goes there fails`,
        ),
      );
    }
  }
  return findings;
}

function hasSubset(
  { host, subset }: NamedDestination,
  services: readonly ServiceSpec[],
  { sources }: Derived,
): boolean {
  return services.some(({ namespace }) =>
    destinationRulesFor({ hostname: host, namespace }, sources).some((rule) =>
      rule.spec.subsets.some(({ name }) => name === subset),
    ),
  );
}

/** `reviews.prod` is not completed; people expect it to be. */
function shortNameHint(host: string): string | undefined {
  return /^[^.*]+\.[^.]+$/.test(host)
    ? `a name with a dot is taken as it is; write the full name, such as ${host}.svc.cluster.local`
    : undefined;
}

/** Services that a host means; a wildcard means all that match it. */
function servicesOf(host: string, { services }: Derived): readonly ServiceSpec[] {
  for (const bucket of hostBuckets(host)) {
    const found = services.lookup('hostname', bucket);
    if (found.length > 0) return found;
  }
  return host.startsWith('*') ? services.lookup('host-suffix', host) : [];
}

export function destinationRuleStatus(rule: DestinationRule, context: StatusContext): StatusParts {
  const { derived } = context;
  const { metadata, spec } = rule;
  const host = resolveHost(spec.host, metadata.namespace, derived.options.clusterDomain);
  const services = servicesOf(host, derived);
  const findings: Finding[] = [];
  const conditions: Condition[] = [acceptedCondition(rule)];
  if (services.length === 0) {
    findings.push(
      warning('IST0174', 'spec.host', `no service has host "${host}"`, shortNameHint(spec.host)),
    );
    const message = `no service has host ${host}`;
    conditions.push(condition('Attached', 'False', 'TargetNotFound', message, metadata.generation));
    return { conditions, findings };
  }
  for (const [index, subset] of spec.subsets.entries()) {
    const isServed = services.some((service) =>
      derived.memberships
        .keysOf('key', service.key)
        .some((uid) => selects(subset.labels, derived.workloadSpecs.get(uid)?.labels ?? {})),
    );
    if (!isServed) {
      const text = `no workload of "${host}" has the labels of subset "${subset.name}"`;
      findings.push(warning('IST0173', `spec.subsets[${index}].labels`, text));
    }
  }
  conditions.push(ruleAttached(rule, services, context));
  conditions.push(...waypointConditions(keyOf(rule), metadata.generation, context));
  return { conditions, findings };
}

/** By its own namespace, or because a waypoint there sends calls to the host. */
function ruleAttached(
  rule: DestinationRule,
  services: readonly ServiceSpec[],
  { derived, isRuleInScope }: StatusContext,
): Condition {
  const { namespace, generation } = rule.metadata;
  const { rootNamespace } = derived.options;
  const heard = services.filter((service) => {
    const owners = ownersOf(service.namespace, derived.serviceBindings.get(service.key));
    return namespace === rootNamespace || owners.includes(namespace);
  });
  if (heard.length === 0 && !isRuleInScope(keyOf(rule))) {
    const message = `only rules of namespace "${services[0]?.namespace}", of those whose waypoints send there, and of "${rootNamespace}" apply to it`;
    return condition('Attached', 'False', 'NamespaceForeign', message, generation);
  }
  const names = listKeys((heard.length === 0 ? services : heard).map(({ key }) => key));
  return condition('Attached', 'True', 'AtWaypoint', `applies to ${names}`, generation);
}

export function routeStatus(route: Route, context: StatusContext): StatusParts {
  const { derived } = context;
  const { generation } = route.metadata;
  const findings = destinationFindings(route, derived);
  const conditions: Condition[] = [parentCondition(route, derived)];
  const missing = findings.map(({ message }) => message);
  conditions.push(
    missing.length === 0
      ? condition('ResolvedRefs', 'True', 'ResolvedRefs', 'every backend exists', generation)
      : condition('ResolvedRefs', 'False', 'RefNotFound', listKeys(missing), generation),
  );
  conditions.push(...unfollowed(route, derived));
  conditions.push(...waypointConditions(keyOf(route), generation, context));
  return { conditions, findings };
}

/** Where nobody in the namespaces of its parents has a waypoint made, a route of another one has no effect. */
function unfollowed(route: Route, derived: Derived): readonly Condition[] {
  const { namespace, generation } = route.metadata;
  const parents = route.spec.parentRefs.flatMap((ref) =>
    derived.services.lookup(BY_OBJECT, targetBucket(ref, namespace)),
  );
  const isFollowed = (service: ServiceSpec): boolean =>
    service.namespace === namespace ||
    derived.serviceBindings.get(service.key)?.reason !== 'NotNeeded';
  if (parents.length === 0 || parents.some(isFollowed)) return [];
  const names = listKeys(parents.map(({ key }) => key));
  const message = `no waypoint is made for ${names} by a route of another namespace; have its owners name one (label ${USE_WAYPOINT})`;
  return [condition('Attached', 'False', 'NamespaceForeign', message, generation)];
}

function parentCondition(route: Route, derived: Derived): Condition {
  const { generation, namespace } = route.metadata;
  const parents = route.spec.parentRefs;
  const outside = parents.filter(({ kind }) => kind !== 'Service' && kind !== 'ServiceEntry');
  const found = parents.filter(
    (ref) => !outside.includes(ref) && targetExists(ref, namespace, derived),
  );
  if (outside.length === parents.length && parents.length > 0) {
    const message = 'only Services and ServiceEntries are parents yet';
    return condition('Accepted', 'False', 'UnsupportedField', message, generation);
  }
  if (found.length === 0) {
    const names = parents.map((ref) => targetBucket(ref, namespace));
    return condition(
      'Accepted',
      'False',
      'NoMatchingParent',
      `not found: ${listKeys(names)}`,
      generation,
    );
  }
  const winners = found.map((ref) => winnerAt(route, ref, derived));
  const [winner] = winners;
  if (winner === undefined || winners.includes(undefined)) {
    return acceptedCondition(route as MeshObject, 'bound to its parents');
  }
  const message = `${winner} is bound to the same service and goes before it`;
  return condition('Accepted', 'False', 'Conflicted', message, generation);
}
