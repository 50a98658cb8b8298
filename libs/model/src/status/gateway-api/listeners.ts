/** Listeners: what may attach to them, and what is wrong with them. */
import type { Condition } from '../../types.ts';
import {
  GATEWAY_GROUP,
  type GatewayApiWorld,
  type GatewayFacts,
  gatewayCondition,
  type ListenerFacts,
  type ParentRefFacts,
  type RouteFacts,
  type RouteKind,
} from './world.ts';

const KINDS_BY_PROTOCOL: Readonly<Record<string, readonly RouteKind[]>> = {
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
  TLS: ['TLSRoute', 'TCPRoute'],
  TCP: ['TCPRoute'],
  // Tunnels of the mesh; routes are bound to the services behind.
  HBONE: [],
  // What comes out of them, for a waypoint behind its agent.
  'istio.io/PROXY': [],
};

export interface ListenerKinds {
  readonly supported: readonly RouteKind[];
  /** Listed by the author and not served here. */
  readonly invalid: readonly string[];
}

export function listenerKinds(listener: ListenerFacts, world: GatewayApiWorld): ListenerKinds {
  const byProtocol = Object.hasOwn(KINDS_BY_PROTOCOL, listener.protocol)
    ? (KINDS_BY_PROTOCOL[listener.protocol] ?? [])
    : [];
  const served = byProtocol.filter((kind) => world.servedRoutes.includes(kind));
  if (listener.kinds === undefined) return { supported: served, invalid: [] };
  const isServed = (written: { readonly group: string; readonly kind: string }) =>
    written.group === GATEWAY_GROUP && served.some((kind) => kind === written.kind);
  return {
    supported: served.filter((kind) =>
      listener.kinds?.some((each) => each.kind === kind && isServed(each)),
    ),
    invalid: listener.kinds.filter((each) => !isServed(each)).map(({ kind }) => kind),
  };
}

export type Attachment =
  | { readonly kind: 'attached'; readonly listeners: readonly ListenerFacts[] }
  | {
      readonly kind: 'refused';
      readonly reason: 'NoMatchingListenerHostname' | 'NoMatchingParent' | 'NotAllowedByListeners';
      readonly message: string;
    };

/** Where a route attaches to a Gateway, by one parentRef. */
export function attachmentOf(
  route: RouteFacts,
  parent: ParentRefFacts,
  gateway: GatewayFacts,
  world: GatewayApiWorld,
): Attachment {
  const named = gateway.listeners.filter(
    ({ name, port }) =>
      (parent.sectionName === undefined || parent.sectionName === name) &&
      (parent.port === undefined || parent.port === port),
  );
  if (named.length === 0) {
    const message = `the Gateway has no listener ${parent.sectionName ?? `with port ${parent.port}`}`;
    return { kind: 'refused', reason: 'NoMatchingParent', message };
  }
  const admitting = named.filter(
    (listener) =>
      listener.admits(route.namespace) &&
      listenerKinds(listener, world).supported.includes(route.kind),
  );
  if (admitting.length === 0) {
    const message = `no listener admits ${route.kind} of namespace ${route.namespace}`;
    return { kind: 'refused', reason: 'NotAllowedByListeners', message };
  }
  const matching = admitting.filter((listener) => hostnamesMeet(route, listener.hostname));
  if (matching.length === 0) {
    const message = 'no hostname of the route is one of a listener';
    return { kind: 'refused', reason: 'NoMatchingListenerHostname', message };
  }
  return { kind: 'attached', listeners: matching };
}

function hostnamesMeet({ kind, hostnames }: RouteFacts, hostname: string | undefined): boolean {
  if (kind === 'TCPRoute' || hostnames.length === 0 || hostname === undefined) return true;
  return hostnames.some((name) => covers(name, hostname) || covers(hostname, name));
}

/** True if the pattern is the name, or a wildcard over one or more of its first labels. */
function covers(pattern: string, name: string): boolean {
  const wanted = pattern.toLowerCase();
  const found = name.toLowerCase();
  if (wanted === found || wanted === '*') return true;
  if (!wanted.startsWith('*.')) return false;
  const suffix = wanted.slice(1);
  return found.endsWith(suffix) && found.length > suffix.length;
}

/** Accepted, Conflicted, ResolvedRefs and Programmed of one listener. */
export function listenerConditions(
  listener: ListenerFacts,
  gateway: GatewayFacts,
  world: GatewayApiWorld,
  isProgrammed: boolean,
): readonly Condition[] {
  const say = (type: string, isTrue: boolean, reason: string, message: string) =>
    gatewayCondition(type, isTrue, reason, message, gateway);
  const accepted = Object.hasOwn(KINDS_BY_PROTOCOL, listener.protocol)
    ? say('Accepted', true, 'Accepted', 'valid')
    : say('Accepted', false, 'UnsupportedProtocol', `${listener.protocol} is not served`);
  const conflict = conflictOf(listener, gateway);
  const conflicted =
    conflict === undefined
      ? say('Conflicted', false, 'NoConflicts', 'no other listener is in the way')
      : say('Conflicted', true, conflict.reason, conflict.message);
  const refs = refsOf(listener, gateway, world);
  const resolved =
    refs === undefined
      ? say('ResolvedRefs', true, 'ResolvedRefs', 'everything it names is there')
      : say('ResolvedRefs', false, refs.reason, refs.message);
  const isValid = accepted.status === 'True' && conflict === undefined && refs === undefined;
  const programmed = isValid
    ? say(
        'Programmed',
        isProgrammed,
        isProgrammed ? 'Programmed' : 'Pending',
        isProgrammed ? 'it has a ready instance' : 'it has no ready instance yet',
      )
    : say('Programmed', false, 'Invalid', 'the listener is not valid');
  return [accepted, conflicted, resolved, programmed];
}

interface Problem {
  readonly reason: string;
  readonly message: string;
}

/** The first of several listeners for the same is in order; the others are in its way. */
function conflictOf(listener: ListenerFacts, gateway: GatewayFacts): Problem | undefined {
  const before = gateway.listeners.slice(0, gateway.listeners.indexOf(listener));
  const same = before.filter(({ port }) => port === listener.port);
  const other = same.find(
    ({ protocol }) => protocol !== listener.protocol && !areBothTls(protocol, listener.protocol),
  );
  if (other !== undefined) {
    const message = `listener ${other.name} has port ${other.port} with ${other.protocol}`;
    return { reason: 'ProtocolConflict', message };
  }
  const twin = same.find(({ hostname }) => (hostname ?? '') === (listener.hostname ?? ''));
  if (twin === undefined) return undefined;
  return {
    reason: 'HostnameConflict',
    message: `listener ${twin.name} has the same port and hostname`,
  };
}

/** Told apart by SNI. */
function areBothTls(one: string, other: string): boolean {
  return [one, other].every((protocol) => protocol === 'HTTPS' || protocol === 'TLS');
}

function refsOf(
  listener: ListenerFacts,
  gateway: GatewayFacts,
  world: GatewayApiWorld,
): Problem | undefined {
  const { invalid } = listenerKinds(listener, world);
  if (invalid.length > 0) {
    return { reason: 'InvalidRouteKinds', message: `not served here: ${invalid.join(', ')}` };
  }
  for (const ref of listener.certificateRefs) {
    const target = { namespace: ref.namespace ?? gateway.namespace, name: ref.name };
    const named = `${target.namespace}/${target.name}`;
    if (ref.kind !== 'Secret' || (ref.group !== '' && ref.group !== 'core')) {
      return { reason: 'InvalidCertificateRef', message: `${ref.kind} ${named} is no Secret` };
    }
    const from = { group: GATEWAY_GROUP, kind: 'Gateway', namespace: gateway.namespace };
    const question = { from, to: { group: '', kind: 'Secret', ...target } };
    if (target.namespace !== gateway.namespace && !world.isGranted(question)) {
      return { reason: 'RefNotPermitted', message: `no ReferenceGrant admits Secret ${named}` };
    }
    if (world.secret(target) !== 'tls') {
      return { reason: 'InvalidCertificateRef', message: `there is no TLS Secret ${named}` };
    }
  }
  return undefined;
}
