/** What the status of one object of Gateway API consists of, by how its kind is shaped. */
import type { GatewayClassStatus, GatewayStatus } from './gateway-status.ts';
import type { PolicyAncestorStatus } from './tls-policy-status.ts';
import type { RouteParentStatus } from './world.ts';

export type GatewayApiStanza =
  /** A route; an entry for each parent that is ours. */
  | { readonly kind: 'parents'; readonly parents: readonly RouteParentStatus[] }
  | { readonly kind: 'gateway'; readonly gateway: GatewayStatus }
  | { readonly kind: 'class'; readonly gatewayClass: GatewayClassStatus }
  /** A policy; an entry for each target. */
  | { readonly kind: 'ancestors'; readonly ancestors: readonly PolicyAncestorStatus[] };
