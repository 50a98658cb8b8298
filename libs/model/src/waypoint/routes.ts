/**
 * Which routing objects concern a service, and whether they need a waypoint.
 *
 * A Gateway API route is bound by its parent, a VirtualService and a DestinationRule by host. Where both
 * are there, Gateway API wins at its ports and the VirtualService says so in its conditions.
 */
import type { DestinationRule, ObjectKey, VirtualService } from '@ambit/api';

import type { Collection } from '../graph/collection.ts';
import { byAge, hostBuckets, keyOf, splitKey } from '../objects/keys.ts';
import { BY_HOST, BY_TARGET, type Route, type Sources } from '../objects/sources.ts';
import type { ServiceSpec } from '../service/services.ts';
import { appliedRules, changingRule, type RuleContext, ruleOwners } from './applied-rules.ts';
import { leftTo, type OwnPorts, ownPortsOf } from './left-ports.ts';
import type { Binding } from './waypoints.ts';

export interface ServiceRouting {
  readonly routes: readonly ObjectKey[];
  /** Objects without which the service could do without a waypoint. */
  readonly needing: readonly ObjectKey[];
  /** Routes of other namespaces, for callers there: they go by the waypoint that the service has, and have none made. */
  readonly following: readonly ObjectKey[];
  /** What Gateway API routes of its own namespace take: VirtualServices are without effect there, whoever calls. */
  readonly ownPorts: OwnPorts;
}

export function routingOf(
  service: ServiceSpec,
  sources: Sources,
  options: RuleContext['options'],
): ServiceRouting {
  const routes = sources.routes.lookup(BY_TARGET, service.object);
  // Nobody makes a waypoint for what none would apply.
  const context = { sources, options };
  const rule = changingRule(service, service.namespace, context);
  const isChanged = rule !== undefined && isMeant(service, keyOf(rule), sources.destinationRules);
  // One of another namespace is for callers there alone; all others still meet the VirtualServices, and nobody goes by a waypoint for it.
  const isOwn = ({ metadata }: Route): boolean => metadata.namespace === service.namespace;
  const ownRoutes = routes.filter(isOwn);
  const ownPorts = ownPortsOf(ownRoutes, service);
  const needing: readonly (Route | VirtualService | DestinationRule)[] = [
    ...ownRoutes,
    ...virtualServicesOf(service, [service.namespace], sources).filter(
      (object) =>
        isMeant(service, keyOf(object), sources.virtualServices) &&
        leftTo(object, service, ownPorts).isLeft,
    ),
    ...(isChanged ? [rule] : []),
  ];
  return {
    routes: routes.map(keyOf),
    needing: needing.map(keyOf),
    following: routes.filter((route) => !isOwn(route)).map(keyOf),
    ownPorts,
  };
}

/** VirtualServices and DestinationRules that the waypoint of a binding takes for calls of the service, also of its own namespace. */
export function followedAt(
  binding: Binding,
  service: ServiceSpec,
  { ownPorts }: Pick<ServiceRouting, 'ownPorts'>,
  context: RuleContext,
): readonly ObjectKey[] {
  const { sources, options } = context;
  const owners = ownersOf(service.namespace, binding);
  const at = owners.at(-1) ?? service.namespace;
  const heard = ruleOwners(service.namespace, at, options.rootNamespace);
  return [
    ...virtualServicesOf(service, owners, sources)
      .filter((object) => leftTo(object, service, ownPorts).isLeft)
      .map(keyOf)
      .filter((key) => isMeant(service, key, sources.virtualServices)),
    ...appliedRules(service, at, context).filter(
      (key) =>
        heard.includes(splitKey(key).namespace) && isMeant(service, key, sources.destinationRules),
    ),
  ];
}

/** No waypoint stands before a gateway's own Service: whoever writes a wildcard does not ask for one. */
export function isMeant(
  { isGateway, hostname }: Pick<ServiceSpec, 'isGateway' | 'hostname'>,
  object: ObjectKey,
  all: Collection<VirtualService> | Collection<DestinationRule>,
): boolean {
  return !isGateway || all.keysOf(BY_HOST, hostname).includes(object);
}

/** Namespaces whose VirtualServices say where calls of a service go: its own, and that of the waypoint it is bound to. */
export function ownersOf(namespace: string, binding: Binding | undefined): readonly string[] {
  const waypoint = binding?.reason === 'Bound' ? binding.waypoint : undefined;
  return waypoint === undefined ? [namespace] : [namespace, waypoint.split('/')[0] ?? ''];
}

/**
 * Whether it may say where calls of a service go: by its namespace, which is one of the owners'. Whoever writes in
 * another one could route away what is not theirs. What has no hosts is a part of another one, which names it.
 */
export function mayRoute({ metadata, spec }: VirtualService, owners: readonly string[]): boolean {
  return spec.hosts.length === 0 || owners.includes(metadata.namespace);
}

/**
 * Of the most specific host that any of the owners' names; older first. The others are left out before that:
 * one without a say does not put aside those that have it.
 */
export function virtualServicesOf(
  { hostname }: Pick<ServiceSpec, 'hostname'>,
  owners: readonly string[],
  sources: Sources,
): readonly VirtualService[] {
  for (const bucket of hostBuckets(hostname)) {
    // To whom each is exported is decided for every caller, at the waypoint.
    const found = sources.virtualServices
      .lookup(BY_HOST, bucket)
      .filter((object) => mayRoute(object, owners));
    if (found.length > 0) return [...found].sort(byAge);
  }
  return [];
}
