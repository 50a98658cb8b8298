/** The resources people write: their shapes, dialects, defaults and validation with exact paths. Pure. */

export {
  CRD_OWNER_LABEL,
  type CrdVersion,
  type CustomResourceDefinition,
  customResourceDefinitions,
  formatCrd,
} from './crd/definitions.ts';
export { CrdError } from './crd/emit-schema.ts';
export { type KnownPaths, knownPaths } from './crd/known-paths.ts';
export { type RewriteResult, rewriteDocument } from './dialect/rewrite.ts';
export { type FindingPlace, formatFinding } from './format-finding.ts';
export {
  type ParseContext,
  type ParseResult,
  parseObject,
  type UnsupportedObject,
} from './parse-object.ts';
export { GRPC_STATUS_NAMES } from './rules/grpc-status.ts';
export { ANYWHERE, STAND_IN, UNREAD } from './rules/reserved-annotations.ts';
export { type KindDefinition, supportedKinds, unsupportedKinds } from './schema/kinds.ts';
export { RETRY_CONDITIONS, RETRY_CONDITIONS_DEFAULT } from './schema/retry.ts';
export { serializeObject } from './serialize.ts';
export type { Finding, ObjectKey, Severity } from './types/finding.ts';
export type {
  BackendRef,
  Gateway,
  GatewayClass,
  GatewayInfrastructure,
  GatewayListener,
  GRPCRoute,
  GrpcMethodMatch,
  GrpcRouteMatch,
  GrpcRouteRule,
  HTTPRoute,
  HttpHeaderFilter,
  HttpPathModifier,
  HttpRouteFilter,
  HttpRouteMatch,
  HttpRouteRule,
  ParentRef,
  ReferenceGrant,
  TCPRoute,
} from './types/gateway.ts';
export type { MeshObject } from './types/mesh-object.ts';
export type {
  Container,
  ContainerPort,
  Deployment,
  EndpointSlice,
  LabelSelector,
  LocalTargetRef,
  Namespace,
  Node,
  ObjectBase,
  ObjectMeta,
  OwnerReference,
  Pod,
  PodSpec,
  PodStatus,
  Probe,
  Service,
  ServiceAccount,
  ServicePort,
  SliceEndpoint,
} from './types/meta.ts';
export type {
  ClientTlsSettings,
  ConnectionPoolSettings,
  ConsistentHash,
  CorsPolicy,
  Destination,
  DestinationRule,
  HeaderOperations,
  Headers,
  HttpDirectResponse,
  HttpFault,
  HttpMatchRequest,
  HttpMirror,
  HttpRedirect,
  HttpRetry,
  HttpRewrite,
  HttpRouteDestination,
  HttpRule,
  L4Match,
  LoadBalancerSettings,
  OutlierDetection,
  PortSelector,
  RequestDefaults,
  ServiceEntry,
  StringMatch,
  Subset,
  TcpRule,
  TlsRule,
  TrafficPolicy,
  TrafficPolicyBlocks,
  VirtualService,
  WorkloadEntry,
  WorkloadEntrySpec,
} from './types/networking.ts';
export type {
  AuthorizationAction,
  AuthorizationCondition,
  AuthorizationOperation,
  AuthorizationPolicy,
  AuthorizationRule,
  AuthorizationSource,
  MtlsMode,
  PeerAuthentication,
  RequestAuthentication,
} from './types/security.ts';
export { UNSUPPORTED_FIELDS, type UnsupportedField, WAYPOINT_CLASSES } from './unsupported.ts';
export { formatAuthority, type ParsedAuthority, parseAuthority } from './value/authority.ts';
export { formatDuration, parseDuration } from './value/duration.ts';
export { grpcMethodPath } from './value/grpc-method.ts';
export { compareHostSpecificity, completeHost, hostMatches, isHostname } from './value/host.ts';
export {
  INBOUND_BINDING,
  INBOUND_BINDINGS,
  type InboundBinding,
  parseInboundBinding,
} from './value/inbound-binding.ts';
export {
  type Cidr,
  canonicalIp,
  cidrContains,
  formatCidr,
  formatIp,
  type IpBytes,
  parseCidr,
  parseIp,
} from './value/ip.ts';
export { isMethod, isServedMethod } from './value/method.ts';
export { matchesLabels, objectKey } from './value/object-key.ts';
export {
  normalPathPrefix,
  normalPathText,
  type PathPart,
  pathTextProblem,
} from './value/path-literal.ts';
export { type CompiledRegex, compileRegex, type RegexResult } from './value/regex.ts';
export { HOP_BY_HOP_HEADERS, isJudgedHeader, isProxyHeader } from './value/request-headers.ts';
export {
  formatYaml,
  parseYaml,
  type YamlDocument,
  type YamlFinding,
  type YamlResult,
} from './yaml.ts';
