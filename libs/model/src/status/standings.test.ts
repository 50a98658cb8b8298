/** Policies that a proxy behind its agent should judge by: closed by a guard, or said to be open; never neither. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { REVIEWS, REVIEWS_SERVICE, workload } from '../mesh.testing.ts';
import { modelOf, namespace, parsed, pod, policy, service } from '../objects.testing.ts';
import { unjudged } from './unjudged.ts';

const SHOP = namespace('shop', {
  'istio.io/dataplane-mode': 'ambient',
  'istio.io/use-waypoint': 'w',
});
const PROXY = pod('w-0', '10.0.0.9', {
  account: 'w',
  labels: { app: 'w', 'gateway.networking.k8s.io/gateway-name': 'w' },
});
const GATEWAY = parsed({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: {
    name: 'w',
    namespace: 'shop',
    annotations: { 'ambient.istio.io/waypoint-inbound-binding': 'PROXY/15088' },
  },
  spec: {
    gatewayClassName: 'other',
    listeners: [{ name: 'mesh', port: 15_088, protocol: 'istio.io/PROXY' }],
  },
});
const OUTSIDE = pod('out', '10.0.0.8', {
  labels: { app: 'reviews', 'istio.io/dataplane-mode': 'none' },
});
const ENTRY = parsed({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: 'far', namespace: 'shop' },
  spec: {
    hosts: ['far.example.com'],
    addresses: ['240.0.0.1'],
    resolution: 'DNS',
    location: 'MESH_EXTERNAL',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
  },
});
const WORLD = [SHOP, service('w', '10.1.0.9'), PROXY, REVIEWS, REVIEWS_SERVICE, GATEWAY];
const METHODS = [{ to: [{ operation: { methods: ['GET'] } }] }];
const SOURCE = [{ from: [{ source: { principals: ['cluster.local/ns/evil/sa/evil'] } }] }];
const at = (kind: string, name: string) => {
  const groups: Record<string, string> = {
    Gateway: 'gateway.networking.k8s.io',
    ServiceEntry: 'networking.istio.io',
  };
  return { targetRefs: [{ kind, group: groups[kind] ?? '', name }] };
};
const on = (app: string) => ({ selector: { matchLabels: { app } } });
const deny = (rest: object) => policy('p', { action: 'DENY', rules: METHODS, ...rest });
const audit = (rest: object) => policy('p', { action: 'AUDIT', rules: METHODS, ...rest });

function said(...objects: readonly MeshObject[]) {
  const model = modelOf(...WORLD, ...objects);
  const status = model.outputs.statuses.get('AuthorizationPolicy/shop/p');
  const ready = status?.conditions.find(({ type }) => type === 'WaypointReady');
  return { model, open: unjudged(status?.findings ?? []), ready: ready?.message ?? '' };
}

describe('a policy for what goes through a proxy behind its agent', () => {
  for (const [title, object, closed] of [
    ['on its Service', deny(at('Service', 'w')), 'w-0'],
    ['on its Service, by connection', deny({ rules: SOURCE, ...at('Service', 'w') }), 'w-0'],
    ['on its Gateway', deny({ rules: SOURCE, ...at('Gateway', 'w') }), 'w-0'],
    ['on its Gateway, for what stands behind it', deny(at('Gateway', 'w')), 'reviews'],
    ['on a Service behind it', deny(at('Service', 'reviews')), 'reviews'],
    ['on pods behind it', deny(on('reviews')), 'reviews'],
  ] as const) {
    it(`refuses callers ${title}`, () => {
      const { model, open, ready } = said(object);
      const { guard } = workload(model, closed);
      assert.deepEqual([guard?.waypointIdentities, guard?.exclusive], [[], true]);
      // All calls come to the proxy's one port, whatever port they are for.
      if (closed === 'w-0') assert.deepEqual(guard?.ports, []);
      assert.equal(open, undefined);
      assert.match(ready, /callers are refused$/);
    });
  }

  for (const [title, objects] of [
    ['takes notes on what stands behind it', [audit(on('reviews'))]],
    ['takes notes on its Service', [audit(at('Service', 'w'))]],
    ['takes notes on its pods', [audit(on('w'))]],
    ['takes notes on its Gateway', [audit(at('Gateway', 'w'))]],
    [
      'refuses at a Service with a pod that is not of the mesh',
      [deny(at('Service', 'reviews')), OUTSIDE],
    ],
    ['refuses at an entry, which no agent stands before', [deny(at('ServiceEntry', 'far')), ENTRY]],
  ] as const) {
    it(`says that nobody judges by it where it ${title}`, () => {
      const { open, ready } = said(...objects);
      assert.equal(open?.reason, 'WaypointBehindAgent');
      assert.doesNotMatch(ready, /callers are refused/);
    });
  }

  it('says so too where it takes notes on pods that no Service stands before', () => {
    const model = modelOf(SHOP, PROXY, GATEWAY, audit(on('w')));
    const status = model.outputs.statuses.get('AuthorizationPolicy/shop/p');
    assert.equal(unjudged(status?.findings ?? [])?.reason, 'WaypointBehindAgent');
  });
});

describe('what is said of pods that come and go', () => {
  const NOTES = policy('p', { action: 'AUDIT', rules: METHODS });
  const of = (name: string, owner?: readonly [string, string]): MeshObject => {
    const [kind, keeper] = owner ?? [];
    const hash = { 'pod-template-hash': 'h1' };
    return parsed({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        ...{ name, namespace: 'shop', labels: kind === 'ReplicaSet' ? hash : {} },
        ...(owner === undefined
          ? {}
          : {
              ownerReferences: [
                { apiVersion: 'x/v1', kind, name: keeper, uid: 'u', controller: true },
              ],
            }),
      },
      spec: { serviceAccountName: 'default', nodeName: 'node1', containers: [] },
      status: { phase: 'Running', podIPs: [{ ip: '10.0.1.1' }] },
    });
  };
  const MADE = parsed({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'w', namespace: 'shop' },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
    },
  });
  // A text that named pods, or counted them, was another with each of them.
  for (const [title, owner, named] of [
    ['of a Deployment', ['ReplicaSet', 'web-h1'], 'Deployment/shop/web'],
    ['of a ReplicaSet alone', ['ReplicaSet', 'web'], 'ReplicaSet/shop/web'],
    ['of a StatefulSet', ['StatefulSet', 'web'], 'StatefulSet/shop/web'],
    ['of a DaemonSet', ['DaemonSet', 'web'], 'DaemonSet/shop/web'],
    ['of a Job', ['Job', 'web-1'], 'pods of namespace shop'],
    ['of nobody', undefined, 'pods of namespace shop'],
  ] as const) {
    it(`holds still: ${title}`, () => {
      const model = modelOf(SHOP, MADE, NOTES, of('m', owner));
      const status = () => model.outputs.statuses.get('AuthorizationPolicy/shop/p');
      const before = status();
      const text = unjudged(before?.findings ?? [])?.message ?? '';
      assert.ok(text.includes(`needed by ${named}:`), text);
      // Before and behind it in order of name.
      model.apply({ upserts: ['a', 'b', 'x', 'y', 'z', 'zz'].map((name) => of(name, owner)) });
      assert.deepEqual(status(), before);
      model.apply({ removes: ['Pod/shop/m', 'Pod/shop/a'] });
      assert.deepEqual(status(), before);
    });
  }
});
