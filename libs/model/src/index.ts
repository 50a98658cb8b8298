/** Objects in, mesh model out, incrementally: attachment, precedence, conditions, findings. Pure. */

export type {
  AdminCa,
  AdminCaRoot,
  AdminCaWaiting,
  AdminRotationStep,
} from './admin/admin-ca.ts';
export { conditionOf, withConditionsOfNow } from './admin/admin-object.ts';
export type {
  AdminCertificate,
  AdminController,
  AdminItems,
  AdminObject,
  AdminProxies,
  AdminProxy,
  AdminProxyKind,
  AdminSubscription,
} from './admin/admin-types.ts';
export type { EnrolledNamespace } from './admin/enrolled-namespaces.ts';
export { type MeshSummary, meshSummary, type TroubledObject } from './admin/mesh-summary.ts';
export {
  type DecodedSnapshot,
  decodeSnapshot,
  encodeSnapshot,
  type MeshSnapshot,
  SNAPSHOT_FORMAT,
  type SnapshotContext,
} from './admin/snapshot.ts';
export { ModelError, type ModelErrorCode } from './errors.ts';
export { deepEqual } from './graph/deep-equal.ts';
export { type MeshBatch, MeshModel } from './mesh-model.ts';
export { classKey, keyOf, type ModelOptions, objectKey, splitKey } from './objects/keys.ts';
export { WAYPOINT_FALLBACK } from './objects/labels.ts';
export { DEFAULT_REVISION, isOwnedBy, REVISION } from './objects/revision.ts';
export { SEMANTICS_VERSION } from './objects/semantics.ts';
export type {
  ConditionReason,
  ConditionType,
} from './status/conditions.ts';
export {
  GATEWAY_CONTROLLER,
  type GatewayApiStanza,
  type GatewayApiWorld,
  type GatewayClassStatus,
  type GatewayFacts,
  type GatewayState,
  type GatewayStatus,
  gatewayApiStatus,
  gatewayClassStatus,
  type ListenerFacts,
  mergeParents,
  type ParentEntry,
  type ParentRefFacts,
  type RouteFacts,
  type RouteParentStatus,
  routeParentStatuses,
  SUPPORTED_FEATURES,
  type TimedCondition,
  type TlsPolicyFacts,
  tlsPolicyStatus,
  withTransitionTimes,
} from './status/gateway-api/index.ts';
export { NOT_CAPTURED } from './status/uncaptured.ts';
export { type UnjudgedReason, unjudged } from './status/unjudged.ts';
export type {
  Address,
  AddressKey,
  AppProtocol,
  Condition,
  ConditionStatus,
  Enrolment,
  GatewayAddress,
  Guard,
  LoadBalancing,
  MeshDelta,
  MeshOutputs,
  MeshService,
  NamespacedHostname,
  NetworkAddress,
  ObjectStatus,
  PodFacts,
  PortMapping,
  WaypointReference,
  WaypointSpec,
  Workload,
  WorkloadType,
} from './types.ts';
export { type AddressDelta, MeshIndex } from './view/mesh-index.ts';
export { type PolicyPlace, PolicyPlans } from './view/policy-plans.ts';
export type { PolicyQuery, WaypointViewOptions } from './view/policy-sets.ts';
export {
  decideRewritten,
  foreignRewrite,
  judgedPath,
  type RewrittenRequest,
} from './view/rewritten-request.ts';
export type { PolicySet } from './view/scoped-policies.ts';
export {
  authorizeAtWaypoint,
  type PolicyDecision,
  type WaypointAuthorization,
  type WaypointQuestion,
} from './view/waypoint-authorization.ts';
export {
  type ResolvedCluster,
  type ServiceRoutes,
  type WaypointTarget,
  WaypointView,
} from './view/waypoint-view.ts';
export { onDemandAccount, waypointAccount } from './waypoint/waypoints.ts';
export {
  BYPASS_BY,
  BYPASS_MS_MAX,
  BYPASS_REASON,
  BYPASS_SINCE,
  BYPASS_UNTIL,
  type Bypass,
  type ReadBypass,
  readBypass,
} from './workload/bypass.ts';
export { namespaceMode, podMode } from './workload/enrolment.ts';
export { CAPTURE_ANNOTATIONS, STATIC_POD_HASH } from './workload/pod-facts.ts';
