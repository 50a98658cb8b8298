/** The waypoint of the measurement, which the controller makes. */
import type { Lab } from '@ambit/lab';
import { MESH } from './bench-lab.ts';

const GATEWAY_LABEL = 'gateway.networking.k8s.io/gateway-name';

/** The pod that the controller asked for on account of the objects above. */
export function waypointPod(lab: Lab): ReturnType<Lab['pod']> | undefined {
  return lab.cluster.pods.all.find(
    ({ plan }) => plan.namespace === MESH && plan.labels[GATEWAY_LABEL] !== undefined,
  );
}
