/** The way from a request's plane to one endpoint: whose connections may be shared, and how one is made. */
import type { MeshPlane } from '../plane.ts';
import type { ClusterState, MeshEndpoint } from './cluster-state.ts';
import type { UpstreamLink } from './message.ts';

/** Connections carry the caller's name, so that only requests of the same caller and cluster share them. */
export function linkTo(
  plane: MeshPlane,
  state: ClusterState,
  endpoint: MeshEndpoint,
): UpstreamLink {
  const { name, ref } = state.cluster;
  const { identity, baggage = '' } = plane.caller;
  return {
    key: `${name}\n${endpoint.key}\n${identity}\n${baggage}`,
    cluster: state,
    isLate: () => state.late.has(endpoint.key),
    dial: (signal) =>
      state.late.watch(endpoint.key, () => plane.dial({ endpoint, cluster: ref }, signal)),
  };
}
