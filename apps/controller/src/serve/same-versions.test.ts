/**
 * Two replicas read the same objects in different orders, and each remembers other histories. What they push must
 * have the same versions all the same: an agent that moves from one to the other is sent what differs.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseObject } from '@ambit/api';
import { MeshModel } from '@ambit/model';
import { loadContentHash, TYPE_URL, type XdsNode } from '@ambit/xds';

import { ModelResources } from './model-resources.ts';

const OPTIONS = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
};

function make(apiVersion: string, kind: string, name: string, rest: object = {}): unknown {
  const { metadata, ...others } = rest as { readonly metadata?: object };
  const namespace = kind === 'Namespace' || kind === 'Node' ? {} : { namespace: 'shop' };
  const meta = { name, uid: `uid-${kind}-${name}`, generation: 1, ...namespace, ...metadata };
  return { apiVersion, kind, metadata: meta, ...others };
}

const AMBIENT = { 'istio.io/dataplane-mode': 'ambient', 'istio.io/use-waypoint': 'waypoint' };

function pod(name: string, app: string, at: number): unknown {
  const ports = [
    { name: 'http', containerPort: 8080 },
    { name: 'metrics', containerPort: 9090 },
  ];
  const gateway = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };
  const labels = { app, version: `v${at}`, tier: 'back', ...(app === 'waypoint' ? gateway : {}) };
  return make('v1', 'Pod', name, {
    metadata: { labels },
    spec: {
      nodeName: `node${at % 2}`,
      serviceAccountName: app,
      containers: [{ name: 'app', ports }],
    },
    status: {
      phase: 'Running',
      podIPs: [{ ip: `10.0.0.${at}` }, { ip: `fd00::${at}` }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
}

function service(name: string, at: number): unknown {
  const ports = [
    { name: 'http', port: 80, targetPort: 8080 },
    { name: 'metrics', port: 9090 },
  ];
  const clusterIPs = [`10.96.0.${at}`, `fd01::${at}`];
  return make('v1', 'Service', name, {
    spec: { selector: { app: name }, clusterIP: clusterIPs[0], clusterIPs, ports },
  });
}

const SECURITY = 'security.istio.io/v1';
const NETWORKING = 'networking.istio.io/v1';
const GATEWAY_API = 'gateway.networking.k8s.io/v1';
const GET = [{ to: [{ operation: { methods: ['GET'], paths: ['/a', '/b*'] } }] }];
const BY_REVIEWS = [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/reviews'] } }] }];

const OBJECTS = [
  make('v1', 'Namespace', 'shop', { metadata: { labels: AMBIENT } }),
  make('v1', 'Namespace', 'istio-system'),
  make('v1', 'Node', 'node0', { metadata: { labels: { 'topology.kubernetes.io/zone': 'a' } } }),
  make('v1', 'Node', 'node1', { metadata: { labels: { 'topology.kubernetes.io/region': 'r' } } }),
  pod('reviews-1', 'reviews', 1),
  pod('reviews-2', 'reviews', 2),
  pod('ratings-1', 'ratings', 3),
  pod('waypoint-1', 'waypoint', 4),
  service('reviews', 1),
  service('ratings', 2),
  make(GATEWAY_API, 'Gateway', 'waypoint', {
    metadata: { labels: { 'istio.io/waypoint-for': 'all' } },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
    },
  }),
  make(SECURITY, 'AuthorizationPolicy', 'ratings', {
    spec: { selector: { matchLabels: { app: 'ratings' } }, rules: BY_REVIEWS },
  }),
  make(SECURITY, 'AuthorizationPolicy', 'also-ratings', {
    spec: { selector: { matchLabels: { app: 'ratings' } }, action: 'DENY', rules: BY_REVIEWS },
  }),
  make(SECURITY, 'AuthorizationPolicy', 'reviews', {
    spec: { selector: { matchLabels: { app: 'reviews' } }, rules: GET },
  }),
  make(SECURITY, 'AuthorizationPolicy', 'everywhere', {
    metadata: { namespace: 'istio-system' },
    spec: { action: 'DENY', rules: [{ to: [{ operation: { ports: ['22', '23'] } }] }] },
  }),
  make(SECURITY, 'PeerAuthentication', 'default', { spec: { mtls: { mode: 'STRICT' } } }),
  make(NETWORKING, 'DestinationRule', 'reviews', {
    spec: {
      host: 'reviews',
      subsets: [
        { name: 'one', labels: { version: 'v1', tier: 'back' } },
        { name: 'two', labels: { version: 'v2' } },
      ],
    },
  }),
  make(NETWORKING, 'VirtualService', 'reviews', {
    spec: {
      hosts: ['reviews'],
      http: [{ route: [{ destination: { host: 'reviews', subset: 'one' } }] }],
    },
  }),
  make(NETWORKING, 'ServiceEntry', 'outside', {
    spec: {
      hosts: ['b.example.com', 'a.example.com'],
      addresses: ['240.0.0.2', '240.0.0.1'],
      location: 'MESH_EXTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
      endpoints: [{ address: '192.0.2.2' }, { address: '192.0.2.1', labels: { b: '1', a: '2' } }],
    },
  }),
].map((value) => {
  const { object, findings } = parseObject(value);
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
});

const hash = await loadContentHash();

function node(type: string, nodeName: string): XdsNode {
  const id = `${type}~10.0.0.1~p.shop~shop.svc.cluster.local`;
  const account = { namespace: 'shop', serviceAccount: 'waypoint' };
  return { id, type, ip: '10.0.0.1', podName: 'p', ...account, nodeName, metadata: {} };
}

/** Name and version of everything, after the objects were written in these batches. */
function versionsAfter(batches: readonly (readonly number[])[]): ReadonlyMap<string, string> {
  const model = new MeshModel(OPTIONS);
  const resources = new ModelResources(hash);
  const apply = (batch: Parameters<MeshModel['apply']>[0]): void => {
    const delta = model.apply(batch);
    resources.update(model.outputs, delta);
  };
  for (const batch of batches) {
    apply({ upserts: batch.flatMap((at) => OBJECTS[at] ?? []) });
  }
  // What history there is: who was here before the namespace was in the mesh.
  apply({ captured: { add: [...model.pending] } });
  const versions = new Map<string, string>();
  for (const typeUrl of Object.values(TYPE_URL)) {
    for (const asked of [
      node('ztunnel', 'node0'),
      node('ztunnel', 'node1'),
      node('waypoint', ''),
    ]) {
      for (const [name, { version }] of resources.resources(typeUrl, asked)) {
        versions.set(`${typeUrl} ${asked.type} ${name}`, version);
      }
    }
  }
  return versions;
}

const ALL = OBJECTS.map((_, at) => at);

describe('resources of two replicas', () => {
  it('have the same versions, whatever order the objects came in', () => {
    const expected = versionsAfter([ALL]);
    const types = new Set([...expected.keys()].map((name) => name.split(' ')[0] ?? ''));
    for (const type of ['address', 'authorization', 'enrolment', 'object', 'pod'] as const) {
      assert.ok(types.has(TYPE_URL[type]), type);
    }
    assert.deepEqual(versionsAfter([ALL.toReversed()]), expected, 'backwards');
    assert.deepEqual(versionsAfter(ALL.toReversed().map((at) => [at])), expected, 'one by one');
    for (let round = 1; round <= 15; round += 1) {
      const shuffled = shuffle(ALL, round);
      const batches = round % 2 === 0 ? [shuffled] : shuffled.map((at) => [at]);
      assert.deepEqual(versionsAfter(batches), expected, `order ${shuffled.join()}`);
    }
  });
});

/** The same for the same seed (Park and Miller's generator). */
function shuffle(values: readonly number[], seed: number): readonly number[] {
  let state = seed * 7_919;
  const keyed = values.map((value) => {
    state = (state * 16_807) % 2_147_483_647;
    return [state, value] as const;
  });
  return keyed.sort(([a], [b]) => a - b).map(([, value]) => value);
}
