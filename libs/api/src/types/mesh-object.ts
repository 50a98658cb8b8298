/** Every kind the mesh reads, discriminated by `kind`. */
import type {
  Gateway,
  GatewayClass,
  GRPCRoute,
  HTTPRoute,
  ReferenceGrant,
  TCPRoute,
} from './gateway.ts';
import type {
  Deployment,
  EndpointSlice,
  Namespace,
  Node,
  Pod,
  Service,
  ServiceAccount,
} from './meta.ts';
import type { DestinationRule, ServiceEntry, VirtualService, WorkloadEntry } from './networking.ts';
import type { AuthorizationPolicy, PeerAuthentication, RequestAuthentication } from './security.ts';

export type MeshObject =
  | Namespace
  | ServiceAccount
  | Service
  | Pod
  | Deployment
  | Node
  | EndpointSlice
  | VirtualService
  | DestinationRule
  | ServiceEntry
  | WorkloadEntry
  | AuthorizationPolicy
  | PeerAuthentication
  | RequestAuthentication
  | Gateway
  | GatewayClass
  | HTTPRoute
  | GRPCRoute
  | TCPRoute
  | ReferenceGrant;
