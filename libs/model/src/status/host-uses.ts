/**
 * Which VirtualServices and DestinationRules the waypoint of each service takes for its calls.
 *
 * Rule: one with a wildcard is for thousands of services, and finds them here by its key. Its status reads none of them, so that what changes
 * at one service is looked at there alone.
 */
import type { ObjectKey } from '@ambit/api';
import type { SetAside } from '@ambit/routing';

import type { Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { keyOf, selects, splitKey } from '../objects/keys.ts';
import type { ServiceSpec } from '../service/services.ts';
import { appliedPolicy, ruleOwners } from '../waypoint/applied-rules.ts';
import { namespaceOfWaypoint, serviceAt } from '../waypoint/host-meaning.ts';
import { leftTo } from '../waypoint/left-ports.ts';
import { isMeant, ownersOf, virtualServicesOf } from '../waypoint/routes.ts';

/** By the service's key. */
export interface HostUse {
  readonly objects: readonly ObjectKey[];
  /** Subsets of the rules among them that a workload of the service is in. */
  readonly subsets: readonly string[];
  /** Ports at which Gateway API routes go before VirtualServices among them. */
  readonly shared: readonly SharedPorts[];
  /** What is not in force of rules, also of those of which nothing is. */
  readonly aside: readonly LostPart[];
}

export interface LostPart extends SetAside {
  readonly service: string;
}

export interface SharedPorts {
  readonly object: ObjectKey;
  readonly service: string;
  readonly ports: readonly number[];
}

export const USES_BY_OBJECT = 'object';
export const USES_BY_SUBSET = 'subset';
export const USES_BY_SHARED = 'shared';
export const USES_BY_ASIDE = 'aside';

export function subsetBucket(rule: ObjectKey, subset: string): string {
  return `${rule}|${subset}`;
}

export function deriveHostUses(graph: Graph, derived: Derived): Collection<HostUse> {
  return graph
    .map('host-uses', derived.services, (service): HostUse | undefined => {
      const { objects: rules, aside } = rulesOf(service, derived);
      const routed = routedBy(service, derived);
      const objects = [...rules, ...routed.map(({ object }) => object)];
      if (objects.length === 0) return undefined;
      const subsets = servedSubsets(service, rules, derived);
      const shared = routed.filter(({ ports }) => ports.length > 0);
      return { objects, subsets, shared, aside };
    })
    .addIndex(USES_BY_OBJECT, ({ objects }) => objects)
    .addIndex(USES_BY_SUBSET, ({ subsets }) => subsets)
    .addIndex(USES_BY_SHARED, ({ shared }) => shared.map(({ object }) => object))
    .addIndex(USES_BY_ASIDE, ({ aside }) => aside.map(({ object }) => object));
}

function rulesOf(service: ServiceSpec, derived: Derived): Pick<HostUse, 'objects' | 'aside'> {
  const { namespace, hostname, key } = service;
  const { serviceBindings, sources, options } = derived;
  const at = namespaceOfWaypoint(namespace, serviceBindings.get(key));
  const owners = ruleOwners(namespace, at, options.rootNamespace);
  const policy = appliedPolicy(serviceAt(hostname, at, derived) ?? service, at, derived);
  const isIts = (rule: ObjectKey): boolean =>
    owners.includes(splitKey(rule).namespace) && isMeant(service, rule, sources.destinationRules);
  return {
    objects: policy?.objects.filter(isIts) ?? [],
    aside: (policy?.aside ?? [])
      .filter(({ object }) => isIts(object))
      .map((lost) => ({ ...lost, service: key })),
  };
}

/** With the ports that are not left to each. */
function routedBy(service: ServiceSpec, derived: Derived): readonly SharedPorts[] {
  const { serviceBindings, routings, sources } = derived;
  const own = routings.get(service.key)?.ownPorts;
  const owners = ownersOf(service.namespace, serviceBindings.get(service.key));
  return virtualServicesOf(service, owners, sources).flatMap((virtualService) => {
    const object = keyOf(virtualService);
    const left = own && leftTo(virtualService, service, own);
    return left?.isLeft === true && isMeant(service, object, sources.virtualServices)
      ? [{ object, service: service.key, ports: left.taken }]
      : [];
  });
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
