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
  const aside = asideFindings(rule, context);
  const { attached, idle } = ruleAttached(rule, context);
  findings.push(...subsetFindings(rule, host, context), ...aside);
  if (aside.length === 0) findings.push(...idle);
  conditions.push(attached);
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

/** Of what an older rule of the same host has already, and for which services: the same may be in force for others. */
function asideFindings(
  rule: DestinationRule,
  { hostUses, isRuleApplied }: StatusContext,
): readonly Finding[] {
  const key = keyOf(rule);
  const lost = hostUses
    .lookup(USES_BY_ASIDE, key)
    .flatMap(({ aside }) => aside.filter(({ object }) => object === key));
  if (lost.length === 0) return [];
  const used = hostUses.keysOf(USES_BY_OBJECT, key);
  const byPath = Map.groupBy(lost, ({ path }) => path);
  return [...byPath].flatMap(([path, parts]) => {
    const without = new Set(parts.map(({ service }) => service));
    const isElsewhere =
      used.length === 0 ? isRuleApplied(key) : used.some((service) => !without.has(service));
    const what = path === 'spec.trafficPolicy' ? 'has a trafficPolicy' : 'defines that subset';
    return [...Map.groupBy(parts, ({ winner }) => winner)].map(([winner, found]) => {
      const services = listKeys(found.map(({ service }) => service));
      const message = `is not in force for calls of ${services}: ${winner} is older, has the same host and ${what}`;
      // Whoever moves it would take it away from the others.
      const how = isElsewhere ? `write it in ${winner} as well` : `write it in ${winner}`;
      return warning('HOST_CONFLICT', path, message, `${how}, or take it out there`);
    });
  });
}

/** Where a waypoint applies it: that of the service, or one that sends calls to the host. */
function ruleAttached(
  rule: DestinationRule,
  context: StatusContext,
): { readonly attached: Condition; readonly idle: readonly Finding[] } {
  const { derived, hostUses, isRuleApplied } = context;
  const { generation } = rule.metadata;
  const applied = hostUses.keysOf(USES_BY_OBJECT, keyOf(rule));
  const services = applied.length > 0 ? [] : servicesOf([rule.spec.host], rule, derived);
  if (applied.length === 0 && !isRuleApplied(keyOf(rule))) {
    const [first] = services
      .flatMap((service) => idleFor(rule, service, derived) ?? [])
      .sort((a, b) => Number(a.isForeign) - Number(b.isForeign));
    if (first !== undefined) {
      const { reason, message, finding } = first;
      const attached = condition('Attached', 'False', reason, message, generation);
      return { attached, idle: finding === undefined ? [] : [finding] };
    }
  }
  const names = listKeys(applied.length > 0 ? applied : services.map(({ key }) => key));
  const text = `applies to ${names}`;
  return { attached: condition('Attached', 'True', 'AtWaypoint', text, generation), idle: [] };
}

interface Idle {
  readonly reason: ConditionReason;
  readonly message: string;
  /** Others for which it could count say more. */
  readonly isForeign: boolean;
  readonly finding?: Finding;
}

/** Why the waypoint of a service does not apply it to calls of that; undefined: it does. */
function idleFor(rule: DestinationRule, service: ServiceSpec, derived: Derived): Idle | undefined {
  const { metadata, spec } = rule;
  const { namespace, hostname } = service;
  const { rootNamespace } = derived.options;
  const binding = derived.serviceBindings.get(service.key);
  const at = namespaceOfWaypoint(namespace, binding);
  const say = (
    reason: ConditionReason,
    message: string,
    finding: Pick<Finding, 'code' | 'path' | 'fix'>,
  ): Idle => ({
    ...{ reason, message, isForeign: false },
    finding: warning(finding.code, finding.path, message, finding.fix),
  });
  if (!ruleOwners(namespace, at, rootNamespace).includes(metadata.namespace)) {
    const message = `only rules of namespace "${namespace}", of those whose waypoints send there, and of "${rootNamespace}" apply to it`;
    return { reason: 'NamespaceForeign', message, isForeign: true };
  }
  if (spec.workloadSelector !== undefined) {
    const message = 'it is for selected clients, and no waypoint stands beside a client';
    const fix = 'take the selector off, so that it is for all clients';
    return say('NoEffect', message, { code: 'NO_EFFECT', path: 'spec.workloadSelector', fix });
  }
  if (!isExportedTo(spec.exportTo, metadata.namespace, at)) {
    const message = `exportTo leaves out namespace "${at}", whose waypoint sends there`;
    const fix = `add "${at}" to it`;
    return say('NotExported', message, { code: 'NOT_EXPORTED', path: 'spec.exportTo', fix });
  }
  const meant = serviceAt(hostname, at, derived);
  const applied = appliedRules(meant ?? service, at, derived);
  if (applied.includes(keyOf(rule))) return undefined;
  const [winner] = applied;
  const [message, fix] =
    winner === undefined
      ? [hostConflict(service, at, meant), `write it in namespace "${meant?.namespace ?? at}"`]
      : [`${winner} goes before it for ${service.key}`, `write it in ${winner}`];
  return say('Conflicted', message, { code: 'HOST_CONFLICT', path: 'spec.host', fix });
}
