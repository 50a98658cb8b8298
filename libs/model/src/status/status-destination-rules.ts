/** Statuses of DestinationRules: for which services a waypoint applies them. */
import type { DestinationRule, Finding } from '@ambit/api';
import { keyOf, resolveHost, selects } from '../objects/keys.ts';
import type { ServiceSpec } from '../service/services.ts';
import type { Condition } from '../types.ts';
import { ownersOf } from '../waypoint/routes.ts';
import { condition, listKeys, warning } from './conditions.ts';
import { missingHost, servicesOf, shortNameHint } from './routed-hosts.ts';
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
  const services = servicesOf([spec.host], rule, derived);
  const findings: Finding[] = [];
  const conditions: Condition[] = [acceptedCondition(rule)];
  if (services.length === 0) {
    const message = missingHost(host, derived);
    findings.push(warning('IST0174', 'spec.host', message, shortNameHint(spec.host)));
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
