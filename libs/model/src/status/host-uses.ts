/**
 * Which VirtualServices and DestinationRules the waypoint of each service takes for its calls.
 *
 * Rule: one with a wildcard is for thousands of services, and finds them here by its key. Its status reads none of them, so that what changes
 * at one service is looked at there alone.
 */
import type { ObjectKey } from '@ambit/api';

import type { Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { keyOf, selects, splitKey } from '../objects/keys.ts';
import type { ServiceSpec } from '../service/services.ts';
import { appliedRules, namespaceOfWaypoint, serviceAt } from '../waypoint/applied-rules.ts';
import { isMeant, ownersOf, ruleOwners, virtualServicesOf } from '../waypoint/routes.ts';

/** By the service's key. */
export interface HostUse {
  readonly objects: readonly ObjectKey[];
  /** Subsets of the rules among them that a workload of the service is in. */
  readonly subsets: readonly string[];
}

export const USES_BY_OBJECT = 'object';
export const USES_BY_SUBSET = 'subset';

export function subsetBucket(rule: ObjectKey, subset: string): string {
  return `${rule}|${subset}`;
}

export function deriveHostUses(graph: Graph, derived: Derived): Collection<HostUse> {
  return graph
    .map('host-uses', derived.services, (service): HostUse | undefined => {
      const rules = rulesOf(service, derived);
      const objects = [...rules, ...routedBy(service, derived)];
      return objects.length === 0
        ? undefined
        : { objects, subsets: servedSubsets(service, rules, derived) };
    })
    .addIndex(USES_BY_OBJECT, ({ objects }) => objects)
    .addIndex(USES_BY_SUBSET, ({ subsets }) => subsets);
}

function rulesOf(service: ServiceSpec, derived: Derived): readonly ObjectKey[] {
  const { namespace, hostname, key } = service;
  const { serviceBindings, sources, options } = derived;
  const at = namespaceOfWaypoint(namespace, serviceBindings.get(key));
  const owners = ruleOwners(namespace, at, options.rootNamespace);
  return appliedRules(serviceAt(hostname, at, derived) ?? service, at, derived).filter(
    (rule) =>
      owners.includes(splitKey(rule).namespace) && isMeant(service, rule, sources.destinationRules),
  );
}

function routedBy(service: ServiceSpec, derived: Derived): readonly ObjectKey[] {
  const { serviceBindings, routings, sources } = derived;
  if (routings.get(service.key)?.hasOwnRoutes === true) return [];
  const owners = ownersOf(service.namespace, serviceBindings.get(service.key));
  return virtualServicesOf(service, owners, sources)
    .map(keyOf)
    .filter((key) => isMeant(service, key, sources.virtualServices));
}

function servedSubsets(
  { key }: ServiceSpec,
  rules: readonly ObjectKey[],
  { sources, memberships, workloadSpecs }: Derived,
): readonly string[] {
  return rules.flatMap((rule) => {
    const subsets = sources.destinationRules.get(rule)?.spec.subsets ?? [];
    if (subsets.length === 0) return [];
    const labels = memberships
      .keysOf('key', key)
      .map((uid) => workloadSpecs.get(uid)?.labels ?? {});
    return subsets
      .filter((subset) => labels.some((found) => selects(subset.labels, found)))
      .map(({ name }) => subsetBucket(rule, name));
  });
}
