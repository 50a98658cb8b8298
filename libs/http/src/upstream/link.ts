/** The way from a request's plane to one endpoint: whose connections may be shared, and how one is made. */
import type { MeshPlane } from '../plane.ts';
import type { ClusterState, MeshEndpoint } from './cluster-state.ts';
import type { UpstreamLink } from './message.ts';

/** A plane is one caller's; its requests to an endpoint have one link while the cluster's settings stay. */
const links = new WeakMap<MeshPlane, WeakMap<MeshEndpoint, UpstreamLink>>();

/** Connections carry the caller's name and address, so that only requests of the same pod and cluster share them. */
export function linkTo(
  plane: MeshPlane,
  state: ClusterState,
  endpoint: MeshEndpoint,
): UpstreamLink {
  let ofPlane = links.get(plane);
  if (ofPlane === undefined) {
    ofPlane = new WeakMap();
    links.set(plane, ofPlane);
  }
  const known = ofPlane.get(endpoint);
  if (known?.cluster === state) {
    return known;
  }
  const { name, ref } = state.cluster;
  const { identity, ip, baggage = '' } = plane.caller;
  const link: UpstreamLink = {
    key: `${name}\n${endpoint.key}\n${identity}\n${ip}\n${baggage}`,
    cluster: state,
    hasLeft: () => plane.hasLeft?.(endpoint) === true,
    isLate: () => state.late.has(endpoint.key),
    dial: (signal) =>
      state.late.watch(endpoint.key, () => plane.dial({ endpoint, cluster: ref }, signal)),
  };
  ofPlane.set(endpoint, link);
  return link;
}
