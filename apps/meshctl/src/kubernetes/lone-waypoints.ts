/** Waypoints of one pod: they run, and their callers are refused while that pod's node is drained or lost. */
import { isKubeError, type KubeObject } from '@ambit/kube';
import { type Cluster, gvr } from '../install/cluster.ts';
import { GATEWAY_NAME, WAYPOINT_PODS } from '../target/cluster-mesh.ts';
import type { WaypointFacts } from './waypoint-objects.ts';

const DEPLOYMENTS = gvr('apps/v1', 'deployments');

/** Nothing where the caller may not list Deployments. */
export async function loneWarnings(
  { client }: Cluster,
  namespace: string,
  waypoints: readonly WaypointFacts[],
): Promise<readonly string[]> {
  try {
    const found = await client.list(DEPLOYMENTS, { namespace, labelSelector: WAYPOINT_PODS });
    return loneWaypoints(waypoints, found);
  } catch (error) {
    if (isKubeError(error, 'KUBE_FORBIDDEN')) return [];
    throw error;
  }
}

/** A line for each that is to have one pod. Those that do not run have worse to say. */
export function loneWaypoints(
  waypoints: readonly WaypointFacts[],
  deployments: readonly KubeObject[],
): readonly string[] {
  return waypoints.flatMap(({ namespace, name, isProgrammed }) => {
    const made = deployments.find(
      ({ metadata }) =>
        metadata.namespace === namespace && metadata.labels?.[GATEWAY_NAME] === name,
    );
    const { replicas = 1 } = (made?.['spec'] ?? {}) as { readonly replicas?: number };
    if (made === undefined || !isProgrammed || replicas > 1) return [];
    const fix = `kubectl scale deployment/${made.metadata.name} -n ${namespace} --replicas=2`;
    return [
      `${namespace}/${name} has one pod: while its node is drained or lost, callers are refused until another is ready; run two where that matters: ${fix}`,
    ];
  });
}
