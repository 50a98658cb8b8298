/** Where a connection or request goes: resolve, match, weights, retries, balancing, ejection. Pure. */
export type { ParsedAuthority } from './authority.ts';
export { formatAuthority, parseAuthority } from './authority.ts';
export type { DialTarget } from './dial-target.ts';
export {
  expectedIdentities,
  HBONE_PORT,
  ILLEGAL_PORTS,
  isGuarded,
  pickAddress,
} from './dial-target.ts';
export type {
  InboundDecision,
  InboundQuery,
  InboundRefusalCode,
  PlaintextInboundQuery,
} from './inbound.ts';
export { resolveInbound, resolveInboundPlaintext } from './inbound.ts';
export type { Subnet } from './ip.ts';
export { canonicalIp, formatIp, parseIp, parseSubnet, subnetContains } from './ip.ts';
export type { ClientPlace, L4Endpoint, L4EndpointChoice, L4EndpointQuery } from './l4-endpoint.ts';
export { selectL4Endpoint } from './l4-endpoint.ts';
export type {
  MeshView,
  RoutingScope,
  ViewGatewayAddress,
  ViewGuard,
  ViewLocality,
  ViewPortMapping,
  ViewService,
  ViewWorkload,
} from './mesh-view.ts';
export { serviceKey, workloadIdentity } from './mesh-view.ts';
export type { OutboundDecision, OutboundQuery, OutboundRefusalCode } from './outbound.ts';
export { resolveOutbound } from './outbound.ts';
export type { WaypointChoice, WaypointQuery } from './waypoint.ts';
export { resolveWaypoint, waypointIdentities } from './waypoint.ts';
