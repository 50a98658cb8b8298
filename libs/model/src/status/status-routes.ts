/** Statuses of VirtualServices and of Gateway API's routes: what they attach to, and what they name that is not there. */
import type { Finding, MeshObject, ObjectKey, VirtualService } from '@ambit/api';
import { BY_OBJECT, type Derived } from '../derive.ts';
import { byAge, keyOf, resolveHost } from '../objects/keys.ts';
import { USE_WAYPOINT } from '../objects/labels.ts';
import { namesMesh, routesInMesh } from '../objects/mesh-rules.ts';
import { BY_HOST, type Route, targetBucket } from '../objects/sources.ts';
import type { ServiceSpec } from '../service/services.ts';
import type { Condition } from '../types.ts';
import { leftTo, type OwnPorts } from '../waypoint/left-ports.ts';
import { ownersOf, virtualServicesOf } from '../waypoint/routes.ts';
import { condition, listKeys, warning } from './conditions.ts';
import { winnerAt } from './gateway-api/index.ts';
import { USES_BY_OBJECT, USES_BY_SHARED } from './host-uses.ts';
import {
  destinationFindings,
  isServed,
  missingHost,
  servicesOf,
  shortNameHint,
} from './routed-hosts.ts';
import {
  acceptedCondition,
  type StatusContext,
  type StatusParts,
  targetExists,
  waypointConditions,
} from './status-context.ts';

export function virtualServiceStatus(object: VirtualService, context: StatusContext): StatusParts {
  const { derived } = context;
  const { metadata, spec } = object;
  const { generation } = metadata;
  const findings: Finding[] = [...destinationFindings(object, derived)];
  const conditions: Condition[] = [];
  const outside = spec.gateways.filter((gateway) => gateway !== 'mesh');
  if (outside.length === 0) {
    conditions.push(acceptedCondition(object));
  } else {
    const message = `only traffic inside of the mesh is routed yet; no effect at: ${listKeys(outside)}`;
    conditions.push(condition('Accepted', 'True', 'UnsupportedField', message, generation));
    findings.push(warning('UNSUPPORTED_FIELD', 'spec.gateways', message));
    if (!namesMesh(object)) {
      conditions.push(condition('Attached', 'False', 'NoEffect', message, generation));
    }
  }
  if (namesMesh(object) && spec.hosts.length > 0) {
    if (routesInMesh(object)) {
      const attached = attachedTo(object, context);
      conditions.push(attached);
      if (attached.reason === 'NoEffect') {
        findings.push(warning('NO_EFFECT', 'spec', attached.message, FOR_PORT));
      }
    } else {
      const message = 'none of its rules is for calls in the mesh: each match names other gateways';
      conditions.push(condition('Attached', 'False', 'NoEffect', message, generation));
      findings.push(warning('NO_EFFECT', 'spec', message, FOR_MESH));
    }
    findings.push(...hostFindings(object, derived));
  }
  conditions.push(...waypointConditions(keyOf(object), generation, context));
  return { conditions, findings };
}

const FOR_MESH = 'add "mesh" to the gateways of a match, or take them off';
const FOR_PORT = 'write rules of the other kind, or say by appProtocol what the port speaks';

function attachedTo(object: VirtualService, context: StatusContext): Condition {
  const { generation } = object.metadata;
  const used = context.hostUses.keysOf(USES_BY_OBJECT, keyOf(object));
  if (used.length === 0) return unattached(object, context.derived);
  const text = `routes ${listKeys(used)} at the waypoint${sharedText(object, context)}`;
  return condition('Attached', 'True', 'AtWaypoint', text, generation);
}

/** Where it does so at some ports only. */
function sharedText(object: VirtualService, { hostUses }: StatusContext): string {
  const key = keyOf(object);
  const shared = hostUses
    .lookup(USES_BY_SHARED, key)
    .flatMap((use) => use.shared.filter((found) => found.object === key))
    .map(({ service, ports }) => `${service} at ${ports.join(' and ')}`);
  return shared.length === 0
    ? ''
    : `, except what Gateway API routes of its namespace take: ${listKeys(shared)}`;
}

const NO_ROUTES: OwnPorts = { http: [], stream: [] };

/** Why no waypoint takes it for any of its services. */
function unattached(object: VirtualService, derived: Derived): Condition {
  const { metadata, spec } = object;
  const { generation, namespace } = metadata;
  const services = servicesOf(spec.hosts, object, derived);
  if (services.length === 0) {
    const missing = spec.hosts.map((host) =>
      missingHost(resolveHost(host, namespace, derived.options.clusterDomain), derived),
    );
    return condition('Attached', 'False', 'TargetNotFound', listKeys(missing), generation);
  }
  const heard = services.filter((service) =>
    ownersOf(service.namespace, derived.serviceBindings.get(service.key)).includes(namespace),
  );
  if (heard.length === 0) {
    const message = `only namespace "${services[0]?.namespace}", and that of its waypoint, say where its calls go`;
    return condition('Attached', 'False', 'NamespaceForeign', message, generation);
  }
  const ports = heard.map((service) => {
    const own = derived.routings.get(service.key)?.ownPorts ?? NO_ROUTES;
    return { service, ...leftTo(object, service, own) };
  });
  if (!ports.some(({ isForAny }) => isForAny)) {
    const names = listKeys(heard.map(({ key }) => key));
    const message = `none of its rules is for a port of ${names}: http is for ports of HTTP, tcp and tls are for those of streams`;
    return condition('Attached', 'False', 'NoEffect', message, generation);
  }
  const routed = ports.filter(({ isLeft }) => isLeft);
  if (routed.length === 0) {
    const message =
      'Gateway API routes are bound to the same service and go before it at every port that it is for';
    return condition('Attached', 'False', 'Conflicted', message, generation);
  }
  const [first] = routed;
  const winner = first && moreSpecific(object, first.service, derived);
  const message = `${winner ?? 'another'} has a more specific host of the same service and goes before it`;
  return condition('Attached', 'False', 'Conflicted', message, generation);
}

/** The VirtualService that the waypoint takes for the service in place of this one; undefined where it takes this one. */
function moreSpecific(
  object: VirtualService,
  service: ServiceSpec,
  { sources, serviceBindings }: Derived,
): ObjectKey | undefined {
  const owners = ownersOf(service.namespace, serviceBindings.get(service.key));
  const taken = virtualServicesOf(service, owners, sources).map(keyOf);
  return taken.includes(keyOf(object)) ? undefined : taken[0];
}

/** Hosts that nobody serves, and hosts that an older VirtualService has too. */
function hostFindings(object: VirtualService, derived: Derived): readonly Finding[] {
  const { metadata, spec } = object;
  const findings: Finding[] = [];
  for (const [index, host] of spec.hosts.entries()) {
    const path = `spec.hosts[${index}]`;
    const resolved = resolveHost(host, metadata.namespace, derived.options.clusterDomain);
    if (!isServed(resolved, derived)) {
      findings.push(warning('IST0101', path, missingHost(resolved, derived), shortNameHint(host)));
    }
    // Those that route nothing in the mesh are not among them, and have nothing taken.
    const same = routesInMesh(object)
      ? derived.sources.virtualServices.lookup(BY_HOST, resolved)
      : [];
    const [first] = [...same].sort(byAge);
    if (first !== undefined && keyOf(first) !== keyOf(object)) {
      findings.push(warning('IST0109', path, `${keyOf(first)} is older and has the same host`));
    }
  }
  return findings;
}

export function routeStatus(route: Route, context: StatusContext): StatusParts {
  const { derived } = context;
  const { generation } = route.metadata;
  const findings = destinationFindings(route, derived);
  const conditions: Condition[] = [parentCondition(route, derived)];
  const missing = findings.map(({ message }) => message);
  conditions.push(
    missing.length === 0
      ? condition('ResolvedRefs', 'True', 'ResolvedRefs', 'every backend exists', generation)
      : condition('ResolvedRefs', 'False', 'RefNotFound', listKeys(missing), generation),
  );
  conditions.push(...unfollowed(route, derived));
  conditions.push(...waypointConditions(keyOf(route), generation, context));
  return { conditions, findings };
}

/** Where nobody in the namespaces of its parents has a waypoint made, a route of another one has no effect. */
function unfollowed(route: Route, derived: Derived): readonly Condition[] {
  const { namespace, generation } = route.metadata;
  const parents = route.spec.parentRefs.flatMap((ref) =>
    derived.services.lookup(BY_OBJECT, targetBucket(ref, namespace)),
  );
  const isFollowed = (service: ServiceSpec): boolean =>
    service.namespace === namespace ||
    derived.serviceBindings.get(service.key)?.reason !== 'NotNeeded';
  if (parents.length === 0 || parents.some(isFollowed)) return [];
  const names = listKeys(parents.map(({ key }) => key));
  const message = `no waypoint is made for ${names} by a route of another namespace; have its owners name one (label ${USE_WAYPOINT})`;
  return [condition('Attached', 'False', 'NamespaceForeign', message, generation)];
}

function parentCondition(route: Route, derived: Derived): Condition {
  const { generation, namespace } = route.metadata;
  const parents = route.spec.parentRefs;
  const outside = parents.filter(({ kind }) => kind !== 'Service' && kind !== 'ServiceEntry');
  const found = parents.filter(
    (ref) => !outside.includes(ref) && targetExists(ref, namespace, derived),
  );
  if (outside.length === parents.length && parents.length > 0) {
    const message = 'only Services and ServiceEntries are parents yet';
    return condition('Accepted', 'False', 'UnsupportedField', message, generation);
  }
  if (found.length === 0) {
    const names = parents.map((ref) => targetBucket(ref, namespace));
    return condition(
      'Accepted',
      'False',
      'NoMatchingParent',
      `not found: ${listKeys(names)}`,
      generation,
    );
  }
  const winners = found.map((ref) => winnerAt(route, ref, derived));
  const [winner] = winners;
  if (winner === undefined || winners.includes(undefined)) {
    return acceptedCondition(route as MeshObject, 'bound to its parents');
  }
  const message = `${winner} is bound to the same service and goes before it`;
  return condition('Accepted', 'False', 'Conflicted', message, generation);
}
