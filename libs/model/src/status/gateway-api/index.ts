/** Statuses of Gateway API's objects, pure: facts in, status stanzas out. */
export { GATEWAY_CONTROLLER, gatewayStanza, routeStanza, winnerAt } from './derived-world.ts';
export { SUPPORTED_FEATURES } from './features.ts';
export {
  type GatewayClassStatus,
  type GatewayStatus,
  gatewayApiStatus,
  gatewayClassStatus,
  type ListenerStatus,
} from './gateway-status.ts';
export {
  mergeParents,
  type ParentEntry,
  type TimedCondition,
  withTransitionTimes,
} from './merge-status.ts';
export { routeParentStatuses } from './route-status.ts';
export type { GatewayApiStanza } from './stanza.ts';
export {
  type PolicyAncestorStatus,
  type TlsPolicyFacts,
  tlsPolicyStatus,
} from './tls-policy-status.ts';
export type * from './world.ts';
