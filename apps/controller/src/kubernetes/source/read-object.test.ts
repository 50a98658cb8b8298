import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject, serializeObject } from '@ambit/api';
import { SAMPLES } from '@ambit/api/testing';
import type { KubeObject } from '@ambit/kube';
import { deepEqual, MeshModel } from '@ambit/model';

import { FOLLOWED_KINDS, type FollowedKind } from './followed-kinds.ts';
import { type ReadObject, readObject } from './read-object.ts';
import { SharedValues } from './shared-values.ts';
import { trimObject } from './trim-object.ts';

type Json = Readonly<Record<string, unknown>>;

function followedOf({ apiVersion = '', kind }: KubeObject): FollowedKind | undefined {
  const [group] = apiVersion.includes('/') ? apiVersion.split('/') : [''];
  return FOLLOWED_KINDS.find((known) => known.kind === kind && known.group === group);
}

function read(object: KubeObject, before?: ReadObject): ReadObject {
  const followed = followedOf(object);
  assert.ok(followed, `no kind ${object.kind}`);
  const shared = new SharedValues();
  return readObject(object, { followed, shared, before, lastAccepted: () => undefined });
}

const FOLLOWED = (SAMPLES as readonly unknown[] as readonly KubeObject[]).filter(
  (object) => followedOf(object) !== undefined,
);

/** Every object that has one value less, or another there. */
function* spoilt(value: unknown): Generator<unknown> {
  for (const odd of [undefined, null, 7, 'x', [], {}, [[null]], true]) yield odd;
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    for (const inner of spoilt(Reflect.get(value, key))) {
      const copy: object = Array.isArray(value) ? [...(value as readonly unknown[])] : { ...value };
      Reflect.set(copy, key, inner);
      yield copy;
    }
  }
}

describe('readObject', () => {
  it('throws for nothing that is written in any field', () => {
    let refused = 0;
    for (const sample of FOLLOWED) {
      const { apiVersion, kind, metadata, ...rest } = sample;
      const names = { name: metadata.name, namespace: metadata.namespace, uid: 'u' };
      const { name: _name, namespace: _namespace, uid: _uid, ...others } = metadata;
      for (const body of spoilt({ ...rest, metadata: others })) {
        if (typeof body !== 'object' || body === null) continue;
        // The decoder lets no object through without these.
        const inner = (body as { metadata?: unknown }).metadata;
        const own = typeof inner === 'object' && inner !== null ? inner : {};
        const object = { ...body, apiVersion, kind, metadata: { ...own, ...names } };
        const found = read(object as unknown as KubeObject);
        if (found.kind === 'refused') {
          refused += 1;
          assert.ok(found.findings.some(({ severity }) => severity === 'error'));
        }
      }
    }
    assert.ok(refused > 500, `${refused}`);
  });

  it('takes the accepted version over from the same incarnation only, as often as it is refused', () => {
    const good = FOLLOWED.find(({ kind }) => kind === 'VirtualService') as KubeObject;
    const of = (uid: string, rest: Json): KubeObject =>
      ({ ...good, ...rest, metadata: { ...good.metadata, uid } }) as KubeObject;
    const accepted = read(of('1', {}));
    assert.ok(accepted.kind === 'accepted');
    let now: ReadObject = accepted;
    for (const spec of [{ a: 1 }, { b: 2 }, 'x']) {
      now = read(of('1', { spec }), now);
      assert.ok(now.kind === 'refused' && now.inForce === accepted.object && !now.isStandIn);
    }
    const other = read(of('2', { spec: 1 }), now);
    assert.ok(other.kind === 'refused' && other.inForce === undefined);
  });

  it('keeps an accepted version under the revision that is written now', () => {
    const good = FOLLOWED.find(({ kind }) => kind === 'VirtualService') as KubeObject;
    const of = (rev: string | undefined, rest: Json = {}): KubeObject => {
      const labels = { app: 'a', ...(rev === undefined ? {} : { 'istio.io/rev': rev }) };
      return { ...good, ...rest, metadata: { ...good.metadata, uid: '1', labels } } as KubeObject;
    };
    const accepted = read(of(undefined));
    assert.ok(accepted.kind === 'accepted');
    let now: ReadObject = accepted;
    for (const rev of ['istio-1-24', 'ambit', undefined]) {
      now = read(of(rev, { spec: 1 }), now);
      assert.ok(now.kind === 'refused' && !now.isStandIn);
      assert.deepEqual(now.inForce?.metadata.labels, of(rev).metadata.labels);
      assert.equal(now.revision, rev);
      assert.deepEqual(
        now.inForce?.kind === 'VirtualService' && now.inForce.spec,
        accepted.object.kind === 'VirtualService' && accepted.object.spec,
      );
    }
    const pod = FOLLOWED.find(({ kind }) => kind === 'Pod') as KubeObject;
    const held = read({ ...pod, metadata: { ...pod.metadata, uid: '1' } } as KubeObject);
    assert.ok(held.kind === 'accepted');
    const metadata = { ...pod.metadata, uid: '1', labels: { 'istio.io/rev': 'x' } };
    const spoiltPod = read({ ...pod, metadata, spec: 1 } as unknown as KubeObject, held);
    assert.ok(spoiltPod.kind === 'refused' && spoiltPod.inForce === held.object);
  });

  it('takes no policy that says of itself that it stands in, or where', () => {
    for (const name of ['ambit.io/stand-in', 'ambit.io/stand-in-anywhere']) {
      const found = read({
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        metadata: { name: 'p', namespace: 'n', uid: '1', annotations: { [name]: 'true' } },
        spec: { selector: { matchLabels: { app: 'a' } }, action: 'DENY', rules: [{}] },
      } as unknown as KubeObject);
      assert.ok(found.kind === 'refused' && found.isStandIn);
      const made = { 'ambit.io/stand-in': 'true' };
      assert.deepEqual(found.inForce?.metadata.annotations, made, 'its scope can be read');
    }
  });
});

/** As the API server gives it. */
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'reviews-7d4b9c6f5d-abcde',
    namespace: 'shop',
    uid: 'u1',
    resourceVersion: '5',
    creationTimestamp: '2026-01-31T12:00:00Z',
    generateName: 'reviews-7d4b9c6f5d-',
    labels: { app: 'reviews', 'pod-template-hash': '7d4b9c6f5d' },
    annotations: {
      'ambient.istio.io/dns-capture': 'false',
      'kubernetes.io/config.hash': 'h',
      'traffic.sidecar.istio.io/excludeInboundPorts': '80',
      'prometheus.io/scrape': 'true',
    },
    ownerReferences: [
      { apiVersion: 'x/v1', kind: 'Other', name: 'o', uid: 'o' },
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        name: 'reviews-7d4b9c6f5d',
        uid: 'r',
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
    managedFields: [{ manager: 'kubelet' }],
  },
  spec: {
    serviceAccountName: 'reviews',
    serviceAccount: 'reviews',
    nodeName: 'node1',
    initContainers: [
      { name: 'once', ports: [{ name: 'no', containerPort: 1 }] },
      { name: 'stays', restartPolicy: 'Always', ports: [{ name: 'side', containerPort: 9000 }] },
    ],
    containers: [
      {
        name: 'app',
        image: 'app:1',
        env: [{ name: 'A', valueFrom: { fieldRef: {} } }],
        ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }, { containerPort: 9090 }],
        readinessProbe: { grpc: { port: 1 } },
      },
      { name: 'quiet', image: 'x' },
    ],
    volumes: [{ name: 'v' }],
  },
  status: {
    phase: 'Running',
    podIP: '10.0.0.1',
    podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }],
    conditions: [
      { type: 'PodScheduled', status: 'True' },
      { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-31T12:00:00Z' },
    ],
    containerStatuses: [{ name: 'app' }],
  },
};

describe('what is dropped while it is read', () => {
  const others: readonly unknown[] = [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: 'shop',
        labels: { 'istio.io/dataplane-mode': 'ambient' },
        annotations: {
          'ambient.istio.io/dns-capture': 'false',
          'networking.istio.io/traffic-distribution': 'PreferClose',
          'kubectl.kubernetes.io/last-applied-configuration': '{}',
        },
      },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    },
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: 'node1',
        labels: { 'topology.kubernetes.io/zone': 'z' },
        annotations: { 'node.alpha.kubernetes.io/ttl': '0' },
      },
      status: { images: [] },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'reviews', namespace: 'shop' },
      spec: {
        selector: { app: 'reviews' },
        clusterIP: '10.96.0.1',
        ports: [{ port: 80, targetPort: 'side' }],
      },
    },
  ];

  for (const [title, pod] of [
    ['a pod', POD],
    [
      'a pod that ends',
      { ...POD, metadata: { ...POD.metadata, deletionTimestamp: '2026-01-31T12:00:00Z' } },
    ],
    [
      'a pod with a sidecar',
      { ...POD, metadata: { ...POD.metadata, annotations: { 'sidecar.istio.io/status': '{}' } } },
    ],
    ['a pod of the host', { ...POD, spec: { ...POD.spec, hostNetwork: true } }],
    ['a pod without an address', { ...POD, status: { phase: 'Pending' } }],
  ] as const) {
    it(`is nothing that the model reads: ${title}`, () => {
      const all = [pod, ...others];
      // The one thing that whole pods lack: ports of init containers that stay.
      const { initContainers, containers, ...spec } = pod.spec;
      const whole = {
        ...pod,
        spec: { ...spec, containers: [...containers, ...initContainers.slice(1)] },
      };
      const wanted = modelOf([whole, ...others].map((object) => parsedWhole(object)));
      const trimmed = modelOf(
        all.map((object) => {
          const found = read(object as unknown as KubeObject);
          assert.ok(found.kind === 'accepted', JSON.stringify(found));
          return found.object;
        }),
      );
      assert.deepEqual(trimmed.outputs.addresses, wanted.outputs.addresses);
      assert.deepEqual(trimmed.outputs.pods, wanted.outputs.pods);
      assert.deepEqual(trimmed.outputs.enrolments, wanted.outputs.enrolments);
      assert.ok(wanted.outputs.addresses.size > 0);
    });
  }

  it('leaves a pod small', () => {
    const found = read(POD as unknown as KubeObject);
    assert.ok(found.kind === 'accepted' && found.object.kind === 'Pod');
    assert.deepEqual(Object.keys(found.object.metadata.annotations).sort(), [
      'ambient.istio.io/dns-capture',
      'kubernetes.io/config.hash',
      'traffic.sidecar.istio.io/excludeInboundPorts',
    ]);
    assert.deepEqual(
      found.object.spec.containers.map(({ name, ports }) => [name, ports.length]),
      [
        ['app', 1],
        ['stays', 1],
      ],
    );
  });

  it('is shared between objects that repeat it', () => {
    const shared = new SharedValues({ max: 30 });
    const object = trimmedPod();
    const [first, second] = [shared.share(object), shared.share(structuredClone(object))];
    assert.ok(first.kind === 'Pod' && second.kind === 'Pod');
    assert.equal(first.spec.containers, second.spec.containers);
    assert.equal(first.metadata.labels, second.metadata.labels);
    for (let n = 0; n < 40; n += 1) {
      const whole = trimmedPod({ spec: { ...POD.spec, nodeName: `n${n}` } });
      const kept = shared.share(whole);
      assert.deepEqual(JSON.parse(JSON.stringify(kept)), JSON.parse(JSON.stringify(whole)));
    }
  });

  for (const [title, changed] of [
    ['as a running one', {}],
    [
      'with two addresses',
      { status: { ...POD.status, podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] } },
    ],
    ['without an address, that is not ready', { status: { phase: 'Pending' } }],
    [
      'that ends, in the network of its node',
      {
        metadata: { ...POD.metadata, deletionTimestamp: '2026-01-31T12:00:00Z' },
        spec: { ...POD.spec, hostNetwork: true },
      },
    ],
  ] as const) {
    it(`reads as a pod: ${title}`, () => {
      const pod = trimmedPod(changed);
      const kept = new SharedValues().share(pod);
      assert.ok(pod.kind === 'Pod' && kept.kind === 'Pod');
      const { metadata, spec, status, kind, apiVersion } = kept;
      assert.deepEqual({ kind, apiVersion, metadata, spec, status }, pod);
      assert.deepEqual(serializeObject(kept), serializeObject(pod));
      assert.ok(deepEqual(kept, new SharedValues().share(structuredClone(pod))));
      const other = trimmedPod({ ...changed, spec: { ...POD.spec, nodeName: 'other' } });
      assert.ok(!deepEqual(kept, new SharedValues().share(other)));
    });
  }
});

function trimmedPod(changed: Json = {}): MeshObject {
  return parsedWhole(trimObject({ ...POD, ...changed } as unknown as KubeObject));
}

function parsedWhole(value: unknown): MeshObject {
  const trimmed = structuredClone(value) as {
    spec?: { containers?: { readinessProbe?: unknown }[] };
  };
  for (const container of trimmed.spec?.containers ?? []) delete container.readinessProbe;
  const { object, findings } = parseObject(trimmed);
  assert.ok(object, JSON.stringify(findings));
  return object;
}

function modelOf(upserts: readonly MeshObject[]): MeshModel {
  const model = new MeshModel({
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    network: '',
  });
  model.apply({ upserts });
  return model;
}
