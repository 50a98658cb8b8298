/** Type URLs of everything that is subscribed to. */
const PREFIX = 'type.googleapis.com/';

export const TYPE_URL = {
  address: `${PREFIX}istio.workload.Address`,
  /** What Envoy waypoints of the reference subscribe to; not served. */
  workload: `${PREFIX}istio.workload.Workload`,
  authorization: `${PREFIX}istio.security.Authorization`,
  enrolment: `${PREFIX}ambit.mesh.v1.Enrolment`,
  /** Never pushed: an agent subscribes to the uids of pods that it has captured. */
  capture: `${PREFIX}ambit.mesh.v1.Capture`,
  /** Never pushed: a proxy subscribes to names that say which roots it has. */
  trust: `${PREFIX}ambit.mesh.v1.Trust`,
  object: `${PREFIX}ambit.mesh.v1.Object`,
  /** An agent gets those of its node. */
  pod: `${PREFIX}ambit.mesh.v1.Pod`,
} as const;

/** Type URLs inside extensions. */
export const EXTENSION_TYPE_URL = {
  guard: `${PREFIX}ambit.mesh.v1.Guard`,
  labels: `${PREFIX}ambit.mesh.v1.Labels`,
  waypoint: `${PREFIX}ambit.mesh.v1.Waypoint`,
  action: `${PREFIX}ambit.mesh.v1.PolicyAction`,
  origins: `${PREFIX}ambit.mesh.v1.Origins`,
  match: `${PREFIX}ambit.mesh.v1.ExtendedMatch`,
} as const;

export const EXTENSION_NAME = {
  guard: 'ambit.mesh/guard',
  labels: 'ambit.mesh/labels',
  waypoint: 'ambit.mesh/waypoint',
  action: 'ambit.mesh/action',
  origins: 'ambit.mesh/origins',
  match: 'ambit.mesh/match',
} as const;
