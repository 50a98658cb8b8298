/** A small shop that the tests of the model share, and how to look at what became of it. */
import assert from 'node:assert/strict';

import type { MeshModel } from './mesh-model.ts';
import { namespace, networking, pod, policy, service, uid } from './objects.testing.ts';
import type { MeshService, Workload } from './types.ts';

export const AMBIENT = namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
export const REVIEWS = pod('reviews', '10.0.0.1');
export const REVIEWS_SERVICE = service('reviews', '10.1.0.1');
export const L7_ALLOW = policy('get-only', {
  selector: { matchLabels: { app: 'reviews' } },
  rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
});
export const L7_TARGETED = policy('at-service', {
  targetRefs: [{ kind: 'Service', group: '', name: 'reviews' }],
  rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
});
export const L4_ALLOW = policy('callers', {
  selector: { matchLabels: { app: 'reviews' } },
  rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/client'] } }] }],
});
export const ROUTE = networking('VirtualService', 'reviews', {
  hosts: ['reviews'],
  http: [{ route: [{ destination: { host: 'reviews' } }] }],
});
export const WAYPOINT_ID = 'spiffe://cluster.local/ns/shop/sa/waypoint';

export function workload(model: MeshModel, name: string, space = 'shop'): Workload {
  const address = model.outputs.addresses.get(uid(name, space));
  assert.ok(address?.kind === 'workload', `${name} is not there`);
  return address.workload;
}

export function meshService(model: MeshModel, name: string, space = 'shop'): MeshService {
  const address = model.outputs.addresses.get(`${space}/${name}.${space}.svc.cluster.local`);
  assert.ok(address?.kind === 'service', `${name} is not there`);
  return address.service;
}

export function reasons(model: MeshModel, key: string): readonly string[] {
  return (model.outputs.statuses.get(key)?.conditions ?? []).map(
    ({ type, status, reason }) => `${type}=${status} ${reason}`,
  );
}
