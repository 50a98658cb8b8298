/** Statuses of Gateways, and of the services that waypoints stand before. */
import type { Finding, Gateway, Service, ServiceEntry } from '@ambit/api';
import { BY_OBJECT, type Derived } from '../derive.ts';
import { keyOf } from '../objects/keys.ts';
import { WAYPOINT_CLASSES, WAYPOINT_FALLBACK } from '../objects/labels.ts';
import type { Condition } from '../types.ts';
import { fallbackFindings } from '../waypoint/fallback.ts';
import { namespaceOfWaypoint, serviceAt } from '../waypoint/host-meaning.ts';
import type { ServiceBinding } from '../waypoint/needs.ts';
import { BINDING_REASONS, bindingText, condition, listKeys, warning } from './conditions.ts';
import { hostConflict } from './routed-hosts.ts';
import { runElsewhere, unusedBinding } from './run-elsewhere.ts';
import { acceptedCondition, type StatusContext, type StatusParts } from './status-context.ts';
import { labelFindings } from './waypoint-labels.ts';

export function gatewayStatus(gateway: Gateway, { derived }: StatusContext): StatusParts {
  const { metadata, spec } = gateway;
  const { generation, namespace, name } = metadata;
  const definition = derived.waypoints.get(`${namespace}/${name}`);
  if (!WAYPOINT_CLASSES.has(spec.gatewayClassName) && definition === undefined) {
    const message = `class "${spec.gatewayClassName}" is not served yet; waypoints are of class ${[...WAYPOINT_CLASSES].join(' or ')}`;
    return {
      conditions: [condition('Accepted', 'False', 'UnsupportedClass', message, generation)],
      findings: [],
    };
  }
  if (definition?.isUnmanaged === true) {
    const { programmed, findings } = runElsewhere(definition, generation, derived);
    return {
      conditions: [acceptedCondition(gateway), programmed],
      findings: [...findings, ...fallbackFindings(gateway)],
    };
  }
  const isReady = derived.readyGateways.get(`${namespace}/${name}`) === true;
  return {
    conditions: [
      acceptedCondition(gateway),
      isReady
        ? condition('Programmed', 'True', 'Programmed', 'it has a ready instance', generation)
        : condition('Programmed', 'False', 'Pending', 'it has no ready instance yet', generation),
    ],
    findings: [...unusedBinding(gateway, derived), ...fallbackFindings(gateway)],
  };
}

/** Silent about a service that nothing sends to a waypoint. */
export function serviceStatus(
  object: Service | ServiceEntry,
  { derived }: StatusContext,
): StatusParts | undefined {
  const { generation } = object.metadata;
  const accepted = object.kind === 'ServiceEntry' ? [acceptedCondition(object)] : [];
  const findings = [
    ...labelFindings(object, derived),
    ...fallbackFindings(object),
    ...lostHosts(object, derived),
  ];
  const bindings = derived.services
    .lookup(BY_OBJECT, keyOf(object))
    .flatMap(({ key }) => derived.serviceBindings.get(key) ?? []);
  const conflicts = bindings.flatMap((binding) => conflictFindings(object, binding, derived));
  const [conflict] = conflicts;
  // Hosts of one entry have the same labels: what differs is whether one of them needs a waypoint.
  const [needing] = bindings.flatMap((binding) => {
    const ready = bindingCondition(binding, generation);
    return ready === undefined ? [] : [{ binding, ready }];
  });
  const own =
    conflict === undefined
      ? needing?.ready
      : condition('WaypointReady', 'False', 'Conflicted', conflict.message, generation);
  const conditions: readonly Condition[] = [...accepted, ...(own === undefined ? [] : [own])];
  if (needing !== undefined) findings.push(...closedFindings(needing.binding));
  findings.push(...conflicts);
  return conditions.length + findings.length === 0 ? undefined : { conditions, findings };
}

/** A namespace has one service of a host: of an entry that is not it, nothing is used for that host. */
function lostHosts(object: Service | ServiceEntry, { services }: Derived): readonly Finding[] {
  if (object.kind === 'Service') return [];
  return object.spec.hosts.flatMap((host, index) => {
    const winner = services.get(`${object.metadata.namespace}/${host.toLowerCase()}`)?.object;
    if (winner === undefined || winner === keyOf(object)) return [];
    const message = `is of no effect: ${winner} has "${host}" in this namespace, and goes before it`;
    const fix = `take the host out here, or write all of it in ${winner}`;
    return [warning('HOST_CONFLICT', `spec.hosts[${index}]`, message, fix)];
  });
}

/** A waypoint knows one service of a host: whoever has another one learns that its endpoints are never called there. */
function conflictFindings(
  object: Service | ServiceEntry,
  binding: ServiceBinding,
  derived: Derived,
): readonly Finding[] {
  const service = derived.services.get(binding.key);
  const decides = derived.waypoints.get(binding.waypoint ?? '')?.behindAgent === undefined;
  if (service === undefined || binding.reason !== 'Bound' || !decides) return [];
  const at = namespaceOfWaypoint(service.namespace, binding);
  const meant = serviceAt(service.hostname, at, derived);
  if (meant?.key === service.key) return [];
  const hosts = object.kind === 'ServiceEntry' ? object.spec.hosts : [];
  const index = hosts.findIndex((host) => host.toLowerCase() === service.hostname);
  const path = index < 0 ? 'metadata.name' : `spec.hosts[${index}]`;
  const fix = `give ${service.namespace} a waypoint of its own, or have one of them for all`;
  return [warning('HOST_CONFLICT', path, hostConflict(service, at, meant), fix)];
}

/** Whoever wrote that callers go past the waypoint learns that they do not. */
function closedFindings({ fallback, isHard, hard }: ServiceBinding): readonly Finding[] {
  if (!isHard || !fallback.isWritten || fallback.mode !== 'direct') return [];
  const message = `does not hold here: ${listKeys(hard)} must be evaluated at the waypoint, so callers are refused until it is ready`;
  const path = `metadata.annotations["${WAYPOINT_FALLBACK}"]`;
  return [warning('WAYPOINT_FALLBACK_CLOSED', path, message)];
}

function bindingCondition(binding: ServiceBinding, generation: number): Condition | undefined {
  const { reason, waypoint = '', key, isHard, isActive, isReady, foreign } = binding;
  if (reason === 'NotNeeded' || (reason === 'OptedOut' && !isHard)) return undefined;
  // On what is another mesh's nothing is said, but where callers are kept from it.
  if (reason === 'NamespaceForeign' && foreign === undefined) return undefined;
  if (reason !== 'Bound') {
    const text = bindingText(reason, waypoint, `service ${key}`);
    return condition('WaypointReady', 'False', BINDING_REASONS[reason], text, generation);
  }
  if (isReady) {
    const text = bindingText(reason, waypoint, `service ${key}`);
    return condition('WaypointReady', 'True', 'WaypointReady', text, generation);
  }
  const meanwhile = isActive ? 'callers are refused' : 'callers go direct';
  const text = `waypoint ${waypoint} has no ready instance; until it has, ${meanwhile}`;
  return condition('WaypointReady', 'False', 'WaypointNotReady', text, generation);
}
