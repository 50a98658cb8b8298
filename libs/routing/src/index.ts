/** Where a connection or request goes: resolve, match, weights, retries, balancing, ejection. Pure. */
export type { ParsedAuthority } from './authority.ts';
export { formatAuthority, parseAuthority } from './authority.ts';
export type { Balanced, Balancer, EndpointPick, PickContext } from './cluster/balancer.ts';
export { createBalancer, pickEndpoint } from './cluster/balancer.ts';
export type { BreakerKind } from './cluster/circuit-breaker.ts';
export { CircuitBreaker, OVERFLOW_BODY } from './cluster/circuit-breaker.ts';
export type { Cluster, Endpoint } from './cluster/cluster.ts';
export {
  CONNECT_TIMEOUT_MS,
  clusterName,
  resolveCluster,
  resolveEndpoints,
} from './cluster/cluster.ts';
export type { Ejection, OutlierDetector, OutlierOutcome } from './cluster/outlier.ts';
export { OutlierState } from './cluster/outlier.ts';
export type { DestinationRuleScope, HostPolicy, SetAside } from './cluster/traffic-policy.ts';
export { findHostPolicy } from './cluster/traffic-policy.ts';
export type { HttpRouteInput, RoutedService, RouteScope } from './http/compile.ts';
export { compileHttpRoutes } from './http/compile.ts';
export { selectVirtualServices } from './http/compile-virtual-service.ts';
export type {
  HeaderOperation,
  HeaderValue,
  MutableHeaders,
  VariableLookup,
} from './http/header-operations.ts';
export { applyHeaderOperations, HEADER_VARIABLES } from './http/header-operations.ts';
export type { MatchedRule, RouteDecision } from './http/match.ts';
export { matchHttp, selectGroup } from './http/match.ts';
export { PHASES, type PhaseName } from './http/phases.ts';
export type { HttpRequestView, HttpSource } from './http/request.ts';
export type {
  RetryDecision,
  RetryPolicy,
  RetryQuery,
  TryOutcome,
} from './http/retry.ts';
export {
  backoffMs,
  DEFAULT_RETRY_POLICY,
  requestSettings,
  retryBudgetLimit,
  shouldRetry,
  tryTimeoutMs,
} from './http/retry.ts';
export { joinQuery, pathToSend, redirectLocation, rewritePath } from './http/rewrite.ts';
export type {
  ClusterRef,
  DirectResponseAction,
  HttpAction,
  HttpHeaderOperations,
  HttpMirrorTarget,
  HttpRouteGroup,
  HttpRouteRuleEntry,
  HttpRouteTable,
  PathChange,
  RedirectAction,
  RouteAction,
  RouteOrigin,
  WeightedCluster,
} from './http/route-table.ts';
export type { DrawnFault } from './http/traffic.ts';
export {
  drawFault,
  drawMirrors,
  pickCluster,
  pickWeighted,
  requestTimeoutMs,
  shadowAuthority,
} from './http/traffic.ts';
export { isServiceMeant } from './l4/address-owner.ts';
export type { DialTarget } from './l4/dial-target.ts';
export {
  expectedIdentities,
  HBONE_PORT,
  ILLEGAL_PORTS,
  isGuarded,
  isRouted,
  pickAddress,
} from './l4/dial-target.ts';
export type {
  ClientPlace,
  L4Endpoint,
  L4EndpointChoice,
  L4EndpointQuery,
  Shun,
} from './l4/endpoint.ts';
export { selectL4Endpoint } from './l4/endpoint.ts';
export type {
  InboundDecision,
  InboundQuery,
  InboundRefusalCode,
  PlaintextInboundQuery,
} from './l4/inbound.ts';
export { resolveInbound, resolveInboundPlaintext } from './l4/inbound.ts';
export type { OutboundQuery } from './l4/outbound.ts';
export { resolveOutbound } from './l4/outbound.ts';
export type { OutboundDecision, OutboundRefusalCode } from './l4/outbound-decision.ts';
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
export { isPod, serviceKey, workloadIdentity } from './mesh-view.ts';
export type {
  TcpConnectionView,
  TcpRouteInput,
  TcpRouteTable,
  TcpRuleEntry,
  TcpShare,
} from './tcp/compile.ts';
export { compileTcpRoutes } from './tcp/compile.ts';
export type { TcpDecision } from './tcp/match.ts';
export { matchTcp } from './tcp/match.ts';
