/**
 * Which routing objects concern a service, and whether they need a waypoint.
 *
 * A Gateway API route is bound by its parent, a VirtualService and a DestinationRule by host. Where both
 * are there, Gateway API wins and the VirtualService says so in its conditions.
 */
import type { DestinationRule, ObjectKey, VirtualService } from '@ambit/api';

import { byAge, hostBuckets, isExportedTo, keyOf } from '../objects/keys.ts';
import { BY_HOST, BY_TARGET, type Route, type Sources } from '../objects/sources.ts';
import type { ServiceSpec } from '../service/services.ts';

export interface ServiceRouting {
  readonly routes: readonly ObjectKey[];
  readonly virtualServices: readonly ObjectKey[];
  readonly destinationRules: readonly ObjectKey[];
  /** Objects without which the service could do without a waypoint. */
  readonly needing: readonly ObjectKey[];
  /** VirtualServices without effect here, because a Gateway API route is bound. */
  readonly shadowed: readonly ObjectKey[];
}

export function routingOf(service: ServiceSpec, sources: Sources): ServiceRouting {
  const routes = sources.routes.lookup(BY_TARGET, service.object);
  const virtualServices = virtualServicesOf(service, sources);
  const rules = destinationRulesFor(service, sources);
  const hasRoutes = routes.length > 0;
  const policyRules = rules.filter(changesTraffic);
  const needing: readonly (Route | VirtualService | DestinationRule)[] = [
    ...(hasRoutes
      ? routes
      : virtualServices.filter((object) => mayRoute(object, [service.namespace]))),
    ...policyRules,
  ];
  return {
    routes: routes.map(keyOf),
    virtualServices: virtualServices.map(keyOf),
    destinationRules: rules.map(keyOf),
    needing: needing.map(keyOf),
    shadowed: hasRoutes ? virtualServices.map(keyOf) : [],
  };
}

/**
 * Whether it may say where calls of a service go: by its namespace, which is the service's or the waypoint's. Whoever writes in
 * another one could route away what is not theirs. What has no hosts is a part of another one, which names it.
 */
export function mayRoute({ metadata, spec }: VirtualService, owners: readonly string[]): boolean {
  return spec.hosts.length === 0 || owners.includes(metadata.namespace);
}

/** Of the most specific host that any of them names; older first. */
export function virtualServicesOf(
  service: Pick<ServiceSpec, 'hostname' | 'namespace'>,
  sources: Sources,
): readonly VirtualService[] {
  for (const bucket of hostBuckets(service.hostname)) {
    // To whom each is exported is decided for every caller, at the waypoint.
    const found = sources.virtualServices.lookup(BY_HOST, bucket);
    if (found.length > 0) return [...found].sort(byAge);
  }
  return [];
}

/** All rules for the host, of any specificity: who routes picks by its own precedence. */
export function destinationRulesFor(
  service: Pick<ServiceSpec, 'hostname' | 'namespace'>,
  sources: Sources,
): readonly DestinationRule[] {
  return hostBuckets(service.hostname)
    .flatMap((bucket) => sources.destinationRules.lookup(BY_HOST, bucket))
    .filter(({ metadata, spec }) =>
      isExportedTo(spec.exportTo, metadata.namespace, service.namespace),
    )
    .sort(byAge);
}

/** Subsets alone change nothing until a route uses them; mutual TLS of the mesh is there anyway. */
function changesTraffic({ spec }: DestinationRule): boolean {
  const policy = spec.trafficPolicy;
  if (policy === undefined) return false;
  return (
    policy.loadBalancer !== undefined ||
    policy.connectionPool !== undefined ||
    policy.outlierDetection !== undefined ||
    policy.portLevelSettings.length > 0 ||
    (policy.tls !== undefined && policy.tls.mode !== 'ISTIO_MUTUAL')
  );
}
