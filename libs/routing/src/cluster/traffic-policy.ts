/**
 * DestinationRule in force: where it is looked up, which host wins, how its layers come together.
 *
 * Lookup: the client's namespace, then the service's, then the root namespace; the first place with any
 * rule for the host wins and places are never merged.
 */
import type {
  DestinationRule,
  ObjectKey,
  RequestDefaults,
  Subset,
  TrafficPolicy,
  TrafficPolicyBlocks,
} from '@ambit/api';
import { compareHostSpecificity, completeHost, hostMatches, objectKey } from '@ambit/api';
import { compareAge } from '../objects.ts';
import { isExportedTo } from '../visibility.ts';

export interface DestinationRuleScope {
  readonly destinationRules: readonly DestinationRule[];
  /** Where the traffic comes from: the waypoint's namespace in a waypoint. */
  readonly clientNamespace: string;
  readonly rootNamespace: string;
  readonly clusterDomain: string;
}

export interface SetAside {
  readonly object: ObjectKey;
  readonly path: string;
  readonly winner: ObjectKey;
}

/** All rules of one host in one place, as one. */
export interface HostPolicy {
  /** Those of which something is in force, or that have nothing; oldest first. */
  readonly objects: readonly ObjectKey[];
  /** What is not in force of any of them, because an older one has it. */
  readonly aside: readonly SetAside[];
  readonly top?: TrafficPolicy;
  readonly subsets: readonly Subset[];
}

/** `undefined` when no rule names the host. */
export function findHostPolicy(
  service: { readonly namespace: string; readonly hostname: string },
  scope: DestinationRuleScope,
): HostPolicy | undefined {
  const places = new Set([scope.clientNamespace, service.namespace, scope.rootNamespace]);
  for (const place of places) {
    const found = scope.destinationRules.flatMap((rule) => {
      const { namespace } = rule.metadata;
      if (namespace !== place) return [];
      const isVisible = isExportedTo(rule.spec.exportTo, namespace, scope.clientNamespace);
      // A rule for some clients only concerns proxies beside those clients, not a waypoint.
      if (!isVisible || rule.spec.workloadSelector !== undefined) return [];
      const host = completeHost(rule.spec.host, namespace, scope.clusterDomain);
      return hostMatches(host, service.hostname) ? [{ rule, host }] : [];
    });
    if (found.length > 0) return mergeRules(found);
  }
  return undefined;
}

export interface EffectivePolicy {
  readonly blocks: TrafficPolicyBlocks;
  /** Labels of the subset. */
  readonly labels: Readonly<Record<string, string>>;
  readonly requestDefaults?: RequestDefaults;
}

/** Layers of one port and subset, block by block. `undefined`: the subset does not exist. */
export function effectivePolicy(
  policy: HostPolicy | undefined,
  target: { readonly port: number; readonly subset?: string },
): EffectivePolicy | undefined {
  const top = layerOf(policy?.top, target.port);
  const defaults = policy?.top?.requestDefaults;
  const common = defaults === undefined ? {} : { requestDefaults: defaults };
  if (target.subset === undefined) return { blocks: top.blocks, labels: {}, ...common };
  const subset = policy?.subsets.find(({ name }) => name === target.subset);
  if (subset === undefined) return undefined;
  const own = layerOf(subset.trafficPolicy, target.port);
  const blocks = own.isWhole ? own.blocks : { ...top.blocks, ...own.blocks };
  const ownDefaults = subset.trafficPolicy?.requestDefaults;
  return {
    blocks,
    labels: subset.labels,
    ...common,
    ...(ownDefaults === undefined ? {} : { requestDefaults: { ...defaults, ...ownDefaults } }),
  };
}

/** `isWhole`: a port's entry, which replaces every block and inherits nothing. */
function layerOf(
  policy: TrafficPolicy | undefined,
  port: number,
): { readonly blocks: TrafficPolicyBlocks; readonly isWhole: boolean } {
  const entry = policy?.portLevelSettings.find((settings) => settings.port.number === port);
  return entry === undefined
    ? { blocks: blocksOf(policy), isWhole: false }
    : { blocks: blocksOf(entry), isWhole: true };
}

function blocksOf(policy: TrafficPolicyBlocks | undefined): TrafficPolicyBlocks {
  return {
    ...(policy?.loadBalancer === undefined ? {} : { loadBalancer: policy.loadBalancer }),
    ...(policy?.connectionPool === undefined ? {} : { connectionPool: policy.connectionPool }),
    ...(policy?.outlierDetection === undefined
      ? {}
      : { outlierDetection: policy.outlierDetection }),
    ...(policy?.tls === undefined ? {} : { tls: policy.tls }),
  };
}

/** The most specific host; its subsets concatenated (first of a name wins), the oldest top policy. */
function mergeRules(
  found: readonly { readonly rule: DestinationRule; readonly host: string }[],
): HostPolicy {
  const best = found.map(({ host }) => host).sort(compareHostSpecificity)[0];
  const rules = found
    .filter(({ host }) => host === best)
    .map(({ rule }) => rule)
    .sort(compareAge);
  const subsets = new Map<string, Owned<Subset>>();
  const aside: SetAside[] = [];
  const objects: ObjectKey[] = [];
  let top: Owned<TrafficPolicy> | undefined;
  for (const { metadata, spec, kind } of rules) {
    const object = objectKey({ kind, metadata });
    const lost: SetAside[] = [];
    const { trafficPolicy } = spec;
    if (trafficPolicy !== undefined) {
      top ??= { object, value: trafficPolicy };
      if (top.object !== object) {
        lost.push({ object, path: 'spec.trafficPolicy', winner: top.object });
      }
    }
    for (const [index, value] of spec.subsets.entries()) {
      const first = subsets.get(value.name);
      if (first === undefined) subsets.set(value.name, { object, value });
      else lost.push({ object, path: `spec.subsets[${index}]`, winner: first.object });
    }
    const parts = spec.subsets.length + (trafficPolicy === undefined ? 0 : 1);
    if (lost.length === 0 || lost.length < parts) objects.push(object);
    aside.push(...lost);
  }
  return {
    objects,
    aside,
    ...(top === undefined ? {} : { top: top.value }),
    subsets: [...subsets.values()].map(({ value }) => value),
  };
}

interface Owned<V> {
  readonly object: ObjectKey;
  readonly value: V;
}
