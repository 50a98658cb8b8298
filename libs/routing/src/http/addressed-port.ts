/**
 * Destinations that name no port of a service with several: they mean the port that was addressed, as the
 * reference reads them. The port is filled in at the match, so that one table serves every port.
 */
import type { ClusterRef, RouteAction } from './route-table.ts';

/** Stands in a `ClusterRef` for "the port that was addressed"; never leaves a match. */
export const ADDRESSED_PORT = 0;

export function atPort(cluster: ClusterRef, port: number): ClusterRef {
  return cluster.port === ADDRESSED_PORT ? { ...cluster, port } : cluster;
}

const filled = new WeakMap<RouteAction, Map<number, RouteAction>>();

/** The same object for the same port; the action itself where every destination names its port. */
export function actionAtPort(action: RouteAction, port: number): RouteAction {
  let byPort = filled.get(action);
  if (byPort === undefined) {
    byPort = new Map();
    filled.set(action, byPort);
  }
  let own = byPort.get(port);
  if (own === undefined) {
    own = isComplete(action) ? action : fill(action, port);
    byPort.set(port, own);
  }
  return own;
}

function isComplete({ clusters, mirrors }: RouteAction): boolean {
  return (
    clusters.every(
      ({ target }) => target.kind !== 'cluster' || target.cluster.port !== ADDRESSED_PORT,
    ) && mirrors.every(({ cluster }) => cluster.port !== ADDRESSED_PORT)
  );
}

function fill(action: RouteAction, port: number): RouteAction {
  return {
    ...action,
    clusters: action.clusters.map((share) =>
      share.target.kind === 'cluster'
        ? { ...share, target: { kind: 'cluster', cluster: atPort(share.target.cluster, port) } }
        : share,
    ),
    mirrors: action.mirrors.map((mirror) => ({ ...mirror, cluster: atPort(mirror.cluster, port) })),
  };
}
