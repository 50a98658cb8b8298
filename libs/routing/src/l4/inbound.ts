/**
 * What the destination's agent does with a tunnel or a plaintext connection, before policy.
 *
 * The rule that must hold: a guarded port is reached only from the waypoint that the workload is bound
 * to, recognised by its certificate; nothing that the request says counts. Where a proxy believes a header of PROXY protocol, nobody
 * but the agent writes one. The answer of a refusal is an HTTP status for tunnels (400 authority, 401 not allowed, 503 unresolved)
 * and a close for plaintext.
 */

import { canonicalIp } from '@ambit/api';
import { parseAuthority } from '../authority.ts';
import type { MeshView, ViewService, ViewWorkload } from '../mesh-view.ts';
import { serviceKey } from '../mesh-view.ts';
import { ILLEGAL_PORTS, isGuarded, isRouted } from './dial-target.ts';
import { waypointIdentities } from './waypoint.ts';

export type InboundRefusalCode =
  | 'ROUTING_AUTHORITY_INVALID'
  | 'ROUTING_AUTHORITY_FOREIGN'
  | 'ROUTING_SERVICE_UNKNOWN'
  | 'ROUTING_PORT_UNKNOWN'
  | 'ROUTING_ILLEGAL_PORT'
  | 'ROUTING_PROXY_PORT'
  | 'ROUTING_GUARDED';

export interface Address {
  readonly ip: string;
  readonly port: number;
}

export type InboundDecision<S extends ViewService = ViewService> =
  | {
      readonly kind: 'forward';
      /** The pod's own address, canonical. */
      readonly ip: string;
      /** The target port: what policy sees, and what is dialled. */
      readonly port: number;
      /** From the waypoint that decides the policies of this port, so they are skipped here. */
      readonly isPolicyDecided: boolean;
      /** The peer is the waypoint bound to this workload or its service: its word on the caller is believed. */
      readonly isFromWaypoint: boolean;
      /** Set when the authority named a service. */
      readonly service?: S;
      /** Where the client wanted to go, to be told to the proxy that is dialled, over loopback, by PROXY protocol. */
      readonly proxied?: Address;
    }
  | {
      readonly kind: 'refuse';
      readonly status: 400 | 401 | 503;
      readonly code: InboundRefusalCode;
      readonly text: string;
      /** For `ROUTING_GUARDED`: the objects that guard the port. */
      readonly because: readonly string[];
    };

export interface InboundQuery<W extends ViewWorkload = ViewWorkload> {
  /** The pod whose listener accepted. */
  readonly local: W;
  /** The accepted socket's local address, canonical. */
  readonly localIp: string;
  /** The CONNECT's `:authority`, as received. */
  readonly authority: string;
  /** The peer's verified SPIFFE id, with scheme. */
  readonly peerIdentity: string;
}

/** For a CONNECT on 15008. */
export function resolveInbound<W extends ViewWorkload, S extends ViewService>(
  query: InboundQuery<W>,
  view: MeshView<W, S>,
): InboundDecision<S> {
  const { local, localIp } = query;
  const authority = parseAuthority(query.authority);
  if (authority?.port === undefined) {
    return refuse(
      400,
      'ROUTING_AUTHORITY_INVALID',
      `authority "${cut(query.authority)}" is not host:port`,
    );
  }
  if (local.applicationTunnel !== undefined) {
    const { host, port, kind } = authority;
    return toProxy(query, { host, port, kind }, view);
  }
  if (authority.kind === 'ip') {
    if (authority.host !== localIp && !local.addresses.includes(authority.host)) {
      const text = `authority "${cut(query.authority)}" is not an address of workload "${local.uid}"`;
      return refuse(400, 'ROUTING_AUTHORITY_FOREIGN', text);
    }
    return forward(query, { ip: authority.host, port: authority.port }, view);
  }
  const service = view.serviceByHostname(authority.host, local.namespace);
  const mappings = service === undefined ? undefined : local.services[serviceKey(service)];
  if (service === undefined || mappings === undefined) {
    const text = `workload "${local.uid}" is no endpoint of "${cut(authority.host)}"`;
    return refuse(503, 'ROUTING_SERVICE_UNKNOWN', text);
  }
  const port = targetPortOf(authority.port, mappings, service);
  if (port === 0) {
    const text = `service "${serviceKey(service)}" has no port ${authority.port} on workload "${local.uid}"`;
    return refuse(503, 'ROUTING_PORT_UNKNOWN', text);
  }
  return forward(query, { ip: localIp, port, service }, view);
}

export interface PlaintextInboundQuery<W extends ViewWorkload = ViewWorkload> {
  readonly local: W;
  /** The original destination of the redirected connection. */
  readonly destinationIp: string;
  readonly port: number;
}

/**
 * For plaintext on 15006; there is no peer identity, so a guarded port is always refused, and so is one on which a proxy takes the first
 * bytes for what the agent says of a client.
 */
export function resolveInboundPlaintext<
  W extends ViewWorkload,
  S extends ViewService = ViewService,
>(query: PlaintextInboundQuery<W>): InboundDecision<S> {
  const { local, port } = query;
  if (ILLEGAL_PORTS.has(port)) return illegalPort(port);
  if (believesHeaders(local, port)) {
    const text = `port ${port} of workload "${local.uid}" is for PROXY protocol of its agent, and a plaintext client could claim to be anybody`;
    return refuse(401, 'ROUTING_PROXY_PORT', text);
  }
  if (isGuarded(local, port)) return guardedRefusal(local, port, 'a plaintext client');
  return {
    kind: 'forward',
    ip: canonicalIp(query.destinationIp) ?? query.destinationIp,
    port,
    isPolicyDecided: false,
    isFromWaypoint: false,
  };
}

/** To a waypoint in the pod that does not end tunnels itself: whatever was wanted is its business. */
function toProxy<W extends ViewWorkload, S extends ViewService>(
  query: InboundQuery<W>,
  wanted: { readonly host: string; readonly port: number; readonly kind: string },
  view: MeshView<W, S>,
): InboundDecision<S> {
  const { local, localIp } = query;
  const service =
    wanted.kind === 'ip' ? undefined : view.serviceByHostname(wanted.host, local.namespace);
  const ip = wanted.kind === 'ip' ? wanted.host : addressOf(service, local.network);
  if (ip === undefined) {
    const text = `"${cut(wanted.host)}" is no service with an address`;
    return refuse(503, 'ROUTING_SERVICE_UNKNOWN', text);
  }
  const { protocol, port = 0 } = local.applicationTunnel ?? {};
  if (ILLEGAL_PORTS.has(wanted.port)) return illegalPort(wanted.port);
  return forward(
    query,
    {
      ip: localIp,
      port: port === 0 ? wanted.port : port,
      ...(service && { service }),
      ...(protocol === 'PROXY' && { proxied: { ip, port: wanted.port } }),
    },
    view,
  );
}

/** Without a port of its own the proxy may believe them on any. */
function believesHeaders({ applicationTunnel }: ViewWorkload, port: number): boolean {
  if (applicationTunnel?.protocol !== 'PROXY') return false;
  return applicationTunnel.port === 0 || applicationTunnel.port === port;
}

/** Of this network and IPv4 rather than others. */
function addressOf(service: ViewService | undefined, network: string): string | undefined {
  const own = service?.addresses.filter((one) => one.network === network) ?? [];
  const all = own.length > 0 ? own : (service?.addresses ?? []);
  return (all.find(({ address }) => !address.includes(':')) ?? all[0])?.address;
}

function forward<W extends ViewWorkload, S extends ViewService>(
  { local, peerIdentity }: InboundQuery<W>,
  target: Address & { readonly service?: S; readonly proxied?: Address },
  view: MeshView<W, S>,
): InboundDecision<S> {
  if (ILLEGAL_PORTS.has(target.port)) return illegalPort(target.port);
  const isGuardian = local.guard?.waypointIdentities.includes(peerIdentity) ?? false;
  if (isGuarded(local, target.port) && !isGuardian) {
    return guardedRefusal(local, target.port, `"${cut(peerIdentity)}"`);
  }
  return {
    kind: 'forward',
    ...target,
    isPolicyDecided: isGuardian && isRouted(local, target.port),
    isFromWaypoint: isGuardian || isBoundWaypoint(local, peerIdentity, view),
  };
}

/**
 * Whether the identity is that of a waypoint of this workload or of one of its services. Not of a service of another namespace: anybody
 * may write an EndpointSlice of any addresses.
 */
function isBoundWaypoint<W extends ViewWorkload, S extends ViewService>(
  local: W,
  peerIdentity: string,
  view: MeshView<W, S>,
): boolean {
  if (local.waypoint !== undefined) {
    if (waypointIdentities(local.waypoint, view).includes(peerIdentity)) return true;
  }
  for (const key of Object.keys(local.services)) {
    const slash = key.indexOf('/');
    if (key.slice(0, slash) !== local.namespace) continue;
    const service = view.service(key.slice(0, slash), key.slice(slash + 1));
    if (service?.waypoint === undefined) continue;
    if (waypointIdentities(service.waypoint, view).includes(peerIdentity)) return true;
  }
  return false;
}

function targetPortOf(
  servicePort: number,
  mappings: ViewWorkload['services'][string],
  service: ViewService,
): number {
  const own = mappings.find((mapping) => mapping.servicePort === servicePort)?.targetPort ?? 0;
  if (own > 0) return own;
  return service.ports.find((mapping) => mapping.servicePort === servicePort)?.targetPort ?? 0;
}

function illegalPort<S extends ViewService>(port: number): InboundDecision<S> {
  const text = `port ${port} is one of the mesh's own and is never a destination`;
  return refuse(503, 'ROUTING_ILLEGAL_PORT', text);
}

function guardedRefusal<S extends ViewService>(
  local: ViewWorkload,
  port: number,
  who: string,
): InboundDecision<S> {
  const because = local.guard?.because ?? [];
  const bound = local.guard?.waypointIdentities ?? [];
  const way = wayTo(because, bound);
  const why = because.length === 0 ? '' : `, because of ${because.join(', ')}`;
  const text = `port ${port} of workload "${local.uid}" is guarded${why}: ${way}, and ${who} is not it`;
  return { kind: 'refuse', status: 401, code: 'ROUTING_GUARDED', text, because };
}

/** A Gateway, or its class, guards its own proxy only: nothing known says which ports of it believe headers of PROXY protocol. */
function wayTo(because: readonly string[], bound: readonly string[]): string {
  if (bound.length > 0) return `only its waypoint (${bound.join(', ')}) may reach it`;
  return because.some((key) => /^Gateway(?:Class)?\//.test(key))
    ? 'that does not say, or is not there to say, how this proxy takes what its agent hands over, so nobody may reach it'
    : 'its waypoint is not ready, so nobody may reach it';
}

function refuse<S extends ViewService>(
  status: 400 | 401 | 503,
  code: InboundRefusalCode,
  text: string,
): InboundDecision<S> {
  return { kind: 'refuse', status, code, text, because: [] };
}

function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
