/** A waypoint that has exactly what the controller would send to it. */
import assert from 'node:assert/strict';

import type { MeshObject } from '@ambit/api';

import { modelOf, namespace, pod, policy, service, uid } from '../objects.testing.ts';
import type { Workload } from '../types.ts';
import { MeshIndex } from './mesh-index.ts';
import { WaypointView } from './waypoint-view.ts';

export const GET = [{ to: [{ operation: { methods: ['GET'] } }] }];
export const WORLD = [
  namespace('shop', { 'istio.io/dataplane-mode': 'ambient' }),
  pod('v1', '10.0.0.1', { labels: { app: 'reviews', version: 'v1' } }),
  pod('v2', '10.0.0.2', { labels: { app: 'reviews', version: 'v2' } }),
  service('reviews', '10.1.0.1', { selector: { app: 'reviews' } }),
];
export const TARGETED = policy('to-reviews', {
  targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
  rules: GET,
});

/** A view that holds exactly what the controller would send to the waypoint of `shop`. */
export function viewOf(...objects: readonly MeshObject[]): {
  view: WaypointView;
  index: MeshIndex;
} {
  const { outputs } = modelOf(...WORLD, ...objects);
  const index = new MeshIndex({ network: '' });
  index.apply({ changed: outputs.addresses.values(), removed: [] });
  const view = new WaypointView(index, {
    namespace: 'shop',
    name: 'waypoint',
    className: 'istio-waypoint',
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
  });
  const scope = outputs.scopes.get('shop/waypoint') ?? new Set();
  const changed = [...scope].flatMap((key) => outputs.objects.get(key) ?? []);
  assert.deepEqual(view.apply({ changed, removed: [] }), []);
  return { view, index };
}

export function toDb(space: string): MeshObject {
  const targetRefs = [{ group: '', kind: 'Service', name: 'db' }];
  return policy('to-db', { targetRefs, rules: GET }, { namespace: space });
}

export function reviews(index: MeshIndex): NonNullable<ReturnType<MeshIndex['service']>> {
  const found = index.service('shop', 'reviews.shop.svc.cluster.local');
  assert.ok(found);
  return found;
}

export function workload(index: MeshIndex, name: string): Workload {
  const found = index.workloadByUid(uid(name));
  assert.ok(found);
  return found;
}
