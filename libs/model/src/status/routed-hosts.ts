/**
 * What the hosts of routing objects mean, and what is said of those that mean nothing.
 *
 * Rule: a waypoint goes by the service that is called and never by the name in a request, so that a host means the services of that very
 * host, or those that it covers as a wildcard. What a wildcard of a ServiceEntry covers is that entry's, under its own host.
 */
import type { Finding, MeshObject, VirtualService } from '@ambit/api';
import { BY_HOSTNAME, BY_WILDCARD, type Derived } from '../derive.ts';
import { destinationHosts, type NamedDestination } from '../objects/destinations.ts';
import { hostBuckets, resolveHost } from '../objects/keys.ts';
import type { Route } from '../objects/sources.ts';
import type { ServiceSpec } from '../service/services.ts';
import { appliedRules } from '../waypoint/applied-rules.ts';
import { namespaceOfWaypoint, serviceAt } from '../waypoint/host-meaning.ts';
import { ownersOf } from '../waypoint/routes.ts';
import { warning } from './conditions.ts';

/** Each once; a gateway's own Service only by its very name, as no waypoint stands before it. */
export function servicesOf(
  hosts: readonly string[],
  { metadata }: Pick<MeshObject, 'metadata'>,
  { services, options }: Derived,
): readonly ServiceSpec[] {
  const found = hosts.flatMap((written) => {
    const host = resolveHost(written, metadata.namespace, options.clusterDomain);
    const covered = host.startsWith('*') ? services.lookup(BY_WILDCARD, host) : [];
    return [...services.lookup(BY_HOSTNAME, host), ...covered];
  });
  return [...new Map(found.map((service) => [service.key, service])).values()];
}

/** Whether `servicesOf` has any, which is asked of no service. `host`: completed. */
export function isServed(host: string, { services }: Pick<Derived, 'services'>): boolean {
  return (
    services.hasAny(BY_HOSTNAME, host) ||
    (host.startsWith('*') && services.hasAny(BY_WILDCARD, host))
  );
}

/** `host`: completed. */
export function missingHost(host: string, { services }: Derived): string {
  for (const wildcard of hostBuckets(host).slice(1)) {
    const [entry] = services.lookup(BY_HOSTNAME, wildcard);
    if (entry !== undefined) {
      return `no service has host "${host}"; what ${entry.object} covers goes by its own host, "${wildcard}"`;
    }
  }
  return `no service has host "${host}"`;
}

/** Of a service whose calls a waypoint of namespace `at` sends to another one of its host. */
export function hostConflict(
  { hostname, key }: Pick<ServiceSpec, 'hostname' | 'key'>,
  at: string,
  meant: ServiceSpec | undefined,
): string {
  const why =
    meant?.namespace === at ? `of namespace "${at}", as the waypoint is` : 'which goes first';
  return `calls of ${key} at a waypoint of namespace "${at}" go to ${meant?.object ?? 'nobody'}, ${why}: both have host "${hostname}"`;
}

/** `reviews.prod` is not completed; people expect it to be. */
export function shortNameHint(host: string): string | undefined {
  return /^[^.*]+\.[^.]+$/.test(host)
    ? `a name with a dot is taken as it is; write the full name, such as ${host}.svc.cluster.local`
    : undefined;
}

export function destinationFindings(
  object: VirtualService | Route,
  derived: Derived,
): readonly Finding[] {
  const findings: Finding[] = [];
  let senders: readonly string[] | undefined;
  for (const destination of destinationHosts(object, derived.options.clusterDomain).named) {
    const { path, host, subset, written } = destination;
    const services = derived.services.lookup(BY_HOSTNAME, host);
    if (services.length === 0) {
      const message = `${missingHost(host, derived)}; what goes there fails`;
      findings.push(warning('IST0101', `${path}.host`, message, shortNameHint(written)));
    } else if (subset !== undefined) {
      // Of a wildcard they are asked of every service that it covers.
      senders ??= sendersOf(object, derived);
      if (hasSubset(destination, senders, derived)) continue;
      const message = `no DestinationRule for "${host}" has subset "${subset}"; what goes there fails`;
      findings.push(warning('IST0101', `${path}.subset`, message));
    }
  }
  return findings;
}

/** In force at every waypoint that sends there. */
function hasSubset(
  { host, subset }: NamedDestination,
  senders: readonly string[],
  derived: Derived,
): boolean {
  return senders.every((at) => {
    const service = serviceAt(host, at, derived);
    const rules = service === undefined ? [] : appliedRules(service, at, derived);
    return rules.some((key) =>
      derived.sources.destinationRules.get(key)?.spec.subsets.some(({ name }) => name === subset),
    );
  });
}

/** Namespaces of the waypoints that follow it: those of the services that it is for. What is a part of another one has none of its own. */
function sendersOf(object: VirtualService | Route, derived: Derived): readonly string[] {
  const { namespace } = object.metadata;
  const hosts = object.kind === 'VirtualService' ? object.spec.hosts : [];
  const found = servicesOf(hosts, object, derived).flatMap((service) => {
    const binding = derived.serviceBindings.get(service.key);
    const isHeard = ownersOf(service.namespace, binding).includes(namespace);
    return isHeard ? [namespaceOfWaypoint(service.namespace, binding)] : [];
  });
  return found.length === 0 ? [namespace] : [...new Set(found)];
}
