/** Where a connection or request goes: resolve, match, weights, retries, balancing, ejection. Pure. */
export type { ParsedAuthority } from './authority.ts';
export { formatAuthority, parseAuthority } from './authority.ts';
export type { Subnet } from './ip.ts';
export { canonicalIp, formatIp, parseIp, parseSubnet, subnetContains } from './ip.ts';
export type { DialTarget } from './l4/dial-target.ts';
export {
  expectedIdentities,
  HBONE_PORT,
  ILLEGAL_PORTS,
  isGuarded,
  isRouted,
  pickAddress,
} from './l4/dial-target.ts';
export type { ClientPlace, L4Endpoint, L4EndpointChoice, L4EndpointQuery } from './l4/endpoint.ts';
export { selectL4Endpoint } from './l4/endpoint.ts';
export type {
  InboundDecision,
  InboundQuery,
  InboundRefusalCode,
  PlaintextInboundQuery,
} from './l4/inbound.ts';
export { resolveInbound, resolveInboundPlaintext } from './l4/inbound.ts';
export type { OutboundDecision, OutboundQuery, OutboundRefusalCode } from './l4/outbound.ts';
export { resolveOutbound } from './l4/outbound.ts';
export type { WaypointChoice, WaypointQuery } from './l4/waypoint.ts';
export { resolveWaypoint, waypointIdentities } from './l4/waypoint.ts';
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
