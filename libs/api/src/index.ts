/** The resources people write: their shapes, dialects, defaults and validation with exact paths. Pure. */
export type { Finding, ObjectKey, Severity } from './types/finding.ts';
export type {
  BackendRef,
  Gateway,
  GatewayListener,
  HTTPRoute,
  HttpHeaderFilter,
  HttpPathModifier,
  HttpRouteFilter,
  HttpRouteMatch,
  HttpRouteRule,
  ParentRef,
  TCPRoute,
} from './types/gateway.ts';
export type {
  Container,
  ContainerPort,
  Deployment,
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

import type { Gateway, HTTPRoute, TCPRoute } from './types/gateway.ts';
import type { Deployment, Namespace, Node, Pod, Service, ServiceAccount } from './types/meta.ts';
import type {
  DestinationRule,
  ServiceEntry,
  VirtualService,
  WorkloadEntry,
} from './types/networking.ts';
import type {
  AuthorizationPolicy,
  PeerAuthentication,
  RequestAuthentication,
} from './types/security.ts';

/** Every kind the mesh reads, discriminated by `kind`. */
export type MeshObject =
  | Namespace
  | ServiceAccount
  | Service
  | Pod
  | Deployment
  | Node
  | VirtualService
  | DestinationRule
  | ServiceEntry
  | WorkloadEntry
  | AuthorizationPolicy
  | PeerAuthentication
  | RequestAuthentication
  | Gateway
  | HTTPRoute
  | TCPRoute;
