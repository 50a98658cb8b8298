/**
 * Which DestinationRules hold for calls of a service at a waypoint: asked of the function by which the waypoint itself decides, so that a
 * status says what is done.
 */
import type { DestinationRule, ObjectKey, TrafficPolicy } from '@ambit/api';
import { findHostPolicy, type HostPolicy } from '@ambit/routing';

import { byAge, hostBuckets, isExportedTo, type ModelOptions } from '../objects/keys.ts';
import { BY_HOST, type Sources } from '../objects/sources.ts';
import type { ServiceSpec } from '../service/services.ts';

export interface RuleContext {
  readonly sources: Sources;
  readonly options: Pick<ModelOptions, 'rootNamespace' | 'clusterDomain'>;
}

/**
 * Namespaces whose DestinationRules hold for calls of a service at a waypoint of `at`, as it looks them up; those of all others are
 * for no caller.
 */
export function ruleOwners(
  namespace: string,
  at: string,
  rootNamespace: string,
): readonly string[] {
  return [namespace, at, rootNamespace];
}

export function isOf(namespaces: readonly string[]): (object: DestinationRule) => boolean {
  return ({ metadata }) => namespaces.includes(metadata.namespace);
}

/**
 * All rules for the host that a waypoint of namespace `at` sees, of any namespace and specificity: who routes picks by its own precedence.
 * To whom a rule is exported is asked of whoever sends, which is the waypoint, and not of the service.
 */
export function destinationRulesFor(
  { hostname }: Pick<ServiceSpec, 'hostname'>,
  at: string,
  sources: Sources,
): readonly DestinationRule[] {
  return hostBuckets(hostname)
    .flatMap((bucket) => sources.destinationRules.lookup(BY_HOST, bucket))
    .filter(({ metadata, spec }) => isExportedTo(spec.exportTo, metadata.namespace, at))
    .sort(byAge);
}

/** Of what a waypoint of namespace `at` sends to a service: those of which something is in force. */
export function appliedRules(
  service: Pick<ServiceSpec, 'namespace' | 'hostname'>,
  at: string,
  derived: RuleContext,
): readonly ObjectKey[] {
  return appliedPolicy(service, at, derived)?.objects ?? [];
}

/** Also with what of them an older one of the same host has already. */
export function appliedPolicy(
  service: Pick<ServiceSpec, 'namespace' | 'hostname'>,
  at: string,
  { sources, options }: RuleContext,
): HostPolicy | undefined {
  const { rootNamespace, clusterDomain } = options;
  const scope = { clientNamespace: at, rootNamespace, clusterDomain };
  const destinationRules = destinationRulesFor(service, at, sources);
  return findHostPolicy(service, { ...scope, destinationRules });
}

/** The rule whose `trafficPolicy` is in force at a waypoint of namespace `at`, where that does something. */
export function changingRule(
  service: Pick<ServiceSpec, 'namespace' | 'hostname'>,
  at: string,
  context: RuleContext,
): DestinationRule | undefined {
  const { top, objects = [] } = appliedPolicy(service, at, context) ?? {};
  if (top === undefined || !changesTraffic(top)) return undefined;
  // Oldest first: the trafficPolicy of the first that has one goes before those of all others.
  return objects
    .map((key) => context.sources.destinationRules.get(key))
    .find((rule) => rule?.spec.trafficPolicy !== undefined);
}

/** Subsets alone change nothing until a route uses them; mutual TLS of the mesh is there anyway. */
function changesTraffic(policy: TrafficPolicy): boolean {
  return (
    policy.loadBalancer !== undefined ||
    policy.connectionPool !== undefined ||
    policy.outlierDetection !== undefined ||
    policy.requestDefaults?.retries !== undefined ||
    (policy.requestDefaults?.timeoutMs ?? 0) > 0 ||
    policy.portLevelSettings.length > 0 ||
    (policy.tls !== undefined && policy.tls.mode !== 'ISTIO_MUTUAL')
  );
}
