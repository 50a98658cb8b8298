/** Where one try of a request goes. */
import type { ByteConn } from '@ambit/proxy';
import type { ClusterState } from './cluster-state.ts';

/** Connections are shared between tries of the same key. */
export interface UpstreamLink {
  /** Cluster, endpoint and caller: callers do not share a connection, because the tunnel names them. */
  readonly key: string;
  readonly cluster: ClusterState;
  /** No connection to the endpoint comes about, for all that is known. Absent: never. */
  readonly isLate?: () => boolean;
  /** Nobody is at the endpoint any more: no connection to it is kept. Absent: never. */
  readonly hasLeft?: () => boolean;
  /** Opens a connection to the endpoint. Rejects with a MeshError. */
  readonly dial: (signal: AbortSignal) => Promise<ByteConn>;
}

/** Under the settings that its cluster has now: to the same endpoint, for the same caller. */
export function current(link: UpstreamLink): UpstreamLink {
  const cluster = link.cluster.newest;
  return cluster === link.cluster ? link : { ...link, cluster };
}
