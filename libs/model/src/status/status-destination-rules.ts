/** Statuses of DestinationRules: for which services a waypoint applies them. */
import type { DestinationRule, Finding } from '@ambit/api';
import type { Derived } from '../derive.ts';
import { isExportedTo, keyOf, resolveHost, selects } from '../objects/keys.ts';
import type { ServiceSpec } from '../service/services.ts';
import type { Condition } from '../types.ts';
import { appliedRules, ruleOwners } from '../waypoint/applied-rules.ts';
import { namespaceOfWaypoint, serviceAt } from '../waypoint/host-meaning.ts';
import { type ConditionReason, condition, listKeys, warning } from './conditions.ts';
import { subsetBucket, USES_BY_ASIDE, USES_BY_OBJECT, USES_BY_SUBSET } from './host-uses.ts';
import { hostConflict, isServed, missingHost, servicesOf, shortNameHint } from './routed-hosts.ts';
import {
  acceptedCondition,
  type StatusContext,
  type StatusParts,
  waypointConditions,
} from './status-context.ts';

export function destinationRuleStatus(rule: DestinationRule, context: StatusContext): StatusParts {
  const { derived } = context;
  const { metadata, spec } = rule;
  const host = resolveHost(spec.host, metadata.namespace, derived.options.clusterDomain);
  const findings: Finding[] = [];
  const conditions: Condition[] = [acceptedCondition(rule)];
  if (!isServed(host, derived)) {
    const message = missingHost(host, derived);
    findings.push(warning('IST0174', 'spec.host', message, shortNameHint(spec.host)));
    conditions.push(condition('Attached', 'False', 'TargetNotFound', message, metadata.generation));
    return { conditions, findings };
  }
  findings.push(...subsetFindings(rule, host, context), ...asideFindings(rule, context));
  conditions.push(ruleAttached(rule, context));
  conditions.push(...waypointConditions(keyOf(rule), metadata.generation, context));
  return { conditions, findings };
}

/** Of subsets that no workload is in: where it is applied, or anywhere if it is not. */
function subsetFindings(
  rule: DestinationRule,
  host: string,
  { derived, hostUses }: StatusContext,
): readonly Finding[] {
  const isUsed = hostUses.hasAny(USES_BY_OBJECT, keyOf(rule));
  return rule.spec.subsets.flatMap(({ name, labels }, index) => {
    const isServing = isUsed
      ? hostUses.hasAny(USES_BY_SUBSET, subsetBucket(keyOf(rule), name))
      : servicesOf([rule.spec.host], rule, derived).some(({ key }) =>
          derived.memberships
            .keysOf('key', key)
            .some((uid) => selects(labels, derived.workloadSpecs.get(uid)?.labels ?? {})),
        );
    if (isServing) return [];
    const text = `no workload of "${host}" has the labels of subset "${name}"`;
    return [warning('IST0173', `spec.subsets[${index}].labels`, text)];
  });
}

/** Of what an older rule of the same host has already: nothing of that is in force. */
function asideFindings(rule: DestinationRule, { hostUses }: StatusContext): readonly Finding[] {
  const key = keyOf(rule);
  const lost = hostUses
    .lookup(USES_BY_ASIDE, key)
    .flatMap(({ aside }) => aside.filter(({ object }) => object === key));
  const byPath = new Map(lost.map(({ path, winner }) => [path, winner]));
  return [...byPath].map(([path, winner]) => {
    const what = path === 'spec.trafficPolicy' ? 'has a trafficPolicy' : 'defines that subset';
    const message = `is not in force: ${winner} is older, has the same host and ${what}`;
    return warning('HOST_CONFLICT', path, message, `write it in ${winner}, or take it out there`);
  });
}

/** Where a waypoint applies it: that of the service, or one that sends calls to the host. */
function ruleAttached(rule: DestinationRule, context: StatusContext): Condition {
  const { derived, hostUses, isRuleApplied } = context;
  const { generation } = rule.metadata;
  const applied = hostUses.keysOf(USES_BY_OBJECT, keyOf(rule));
  const services = applied.length > 0 ? [] : servicesOf([rule.spec.host], rule, derived);
  if (applied.length === 0 && !isRuleApplied(keyOf(rule))) {
    const [first] = services
      .flatMap((service) => idleFor(rule, service, derived) ?? [])
      .sort((a, b) => Number(a.isForeign) - Number(b.isForeign));
    if (first !== undefined) {
      return condition('Attached', 'False', first.reason, first.message, generation);
    }
  }
  const names = listKeys(applied.length > 0 ? applied : services.map(({ key }) => key));
  return condition('Attached', 'True', 'AtWaypoint', `applies to ${names}`, generation);
}

interface Idle {
  readonly reason: ConditionReason;
  readonly message: string;
  /** Others for which it could count say more. */
  readonly isForeign: boolean;
}

/** Why the waypoint of a service does not apply it to calls of that; undefined: it does. */
function idleFor(rule: DestinationRule, service: ServiceSpec, derived: Derived): Idle | undefined {
  const { metadata, spec } = rule;
  const { namespace, hostname } = service;
  const { rootNamespace } = derived.options;
  const binding = derived.serviceBindings.get(service.key);
  const at = namespaceOfWaypoint(namespace, binding);
  const say = (reason: ConditionReason, message: string): Idle => ({
    ...{ reason, message },
    isForeign: reason === 'NamespaceForeign',
  });
  if (!ruleOwners(namespace, at, rootNamespace).includes(metadata.namespace)) {
    const message = `only rules of namespace "${namespace}", of those whose waypoints send there, and of "${rootNamespace}" apply to it`;
    return say('NamespaceForeign', message);
  }
  if (spec.workloadSelector !== undefined) {
    return say('NoEffect', 'it is for selected clients, and no waypoint stands beside a client');
  }
  if (!isExportedTo(spec.exportTo, metadata.namespace, at)) {
    return say('NotExported', `exportTo leaves out namespace "${at}", whose waypoint sends there`);
  }
  const meant = serviceAt(hostname, at, derived);
  const applied = appliedRules(meant ?? service, at, derived);
  if (applied.includes(keyOf(rule))) return undefined;
  const [winner] = applied;
  return winner === undefined
    ? say('Conflicted', hostConflict(service, at, meant))
    : say('Conflicted', `${winner} goes before it for ${service.key}`);
}
