/** Waypoints on a real API server: what it takes, who owns what, what goes, and what of others stays. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { GroupVersionResource, KubeObject } from '@ambit/kube';
import { GATEWAY_CRD, openTestCluster, type TestCluster } from '@ambit/kube/testing';

import { applyCrds } from '../../crd/crds.testing.ts';
import { until } from '../../until.testing.ts';
import { contextOf } from '../context.testing.ts';
import { valueAt } from './overlays.ts';
import { PART_KINDS, PART_TYPES, type PartKind } from './parts.ts';
import {
  CONFIG_MAPS,
  GATEWAYS,
  ofGateway,
  onDemand,
  provision,
  specs,
  withParameters,
} from './provision.testing.ts';

const DEFINITIONS: GroupVersionResource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
};
/** The garbage collector learns of a new kind of owners every 30 s. */
const COLLECTED_MS_MAX = 90_000;

let cluster: TestCluster;
before(async () => {
  cluster = await openTestCluster('provision');
  const { name } = GATEWAY_CRD.metadata;
  // Where the cluster has Gateway API, its own is used.
  if ((await cluster.client.find(DEFINITIONS, { name })) === undefined) {
    await applyCrds(cluster, [GATEWAY_CRD]);
  }
  cluster.discovery.start();
  await cluster.discovery.refresh();
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

async function find(kind: PartKind, namespace: string): Promise<KubeObject | undefined> {
  return await cluster.client.find(PART_TYPES[kind], { namespace, name: 'waypoint' });
}

async function present(namespace: string): Promise<readonly PartKind[]> {
  const found: PartKind[] = [];
  for (const kind of PART_KINDS) {
    if ((await find(kind, namespace)) !== undefined) found.push(kind);
  }
  return found;
}

async function createGateway(namespace: string): Promise<KubeObject> {
  return await cluster.client.create(GATEWAYS, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { namespace, name: 'waypoint' },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
    },
  });
}

const MADE: readonly PartKind[] = [
  'serviceAccount',
  'service',
  'podDisruptionBudget',
  'deployment',
];

describe('WaypointProvisioner on a real API server', () => {
  it('makes the parts of a waypoint on demand, and leaves nothing when it is not needed', async () => {
    const namespace = await cluster.namespace();
    const key = `${namespace}/waypoint`;
    await using p = provision(contextOf(cluster), 300);
    p.provisioner.set(specs(onDemand(namespace)));
    await until(async () => (await present(namespace)).length === MADE.length);
    assert.deepEqual(await present(namespace), MADE);
    // The server's own controller has taken the Deployment up.
    await until(
      async () =>
        (
          await cluster.client.list(
            { group: 'apps', version: 'v1', resource: 'replicasets' },
            { namespace },
          )
        ).length === 1,
    );
    await until(() => p.provisioner.stateOf(key)?.addresses.length === 1);
    const state = p.provisioner.stateOf(key);
    assert.equal(state?.programmed, false);
    assert.equal(state?.reason, 'Pending', state?.message);
    p.provisioner.set(specs());
    assert.deepEqual(await present(namespace), MADE, 'it lingers');
    await until(async () => (await present(namespace)).length === 0);
    assert.equal(p.provisioner.stateOf(key), undefined);
  });

  it('is owned by its Gateway, and goes with it', async () => {
    const namespace = await cluster.namespace();
    const gateway = await createGateway(namespace);
    await using p = provision(contextOf(cluster), 600_000);
    p.provisioner.set(specs(ofGateway(namespace)));
    await until(async () => (await present(namespace)).length === MADE.length);
    for (const kind of MADE) {
      const [owner] = (await find(kind, namespace))?.metadata.ownerReferences ?? [];
      assert.equal(owner?.uid, gateway.metadata.uid, kind);
    }
    await cluster.client.delete(GATEWAYS, { namespace, name: 'waypoint' });
    p.provisioner.set(specs());
    await until(
      async () => (await present(namespace)).length === 0,
      'all parts are gone',
      COLLECTED_MS_MAX,
    );
  });

  it('takes overlays, refuses wrong ones with the path, and keeps the last good ones', async () => {
    const namespace = await cluster.namespace();
    const key = `${namespace}/waypoint`;
    const gateway = await createGateway(namespace);
    const write = async (data: Readonly<Record<string, string>>): Promise<void> => {
      const metadata = { namespace, name: 'parameters' };
      const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
      await cluster.client.apply(CONFIG_MAPS, object, { force: true });
    };
    const deployment =
      'spec: {template: {spec: {containers: [{name: istio-proxy, resources: {limits: {cpu: "2"}}}]}}}';
    await write({ deployment, horizontalPodAutoscaler: 'spec: {minReplicas: 2, maxReplicas: 5}' });
    await using p = provision(contextOf(cluster), 0);
    p.provisioner.set(specs(ofGateway(namespace, withParameters('parameters'))));
    await until(async () => (await present(namespace)).length === PART_KINDS.length);
    const made = await find('deployment', namespace);
    const [container] = valueAt(made, 'spec.template.spec.containers') as readonly KubeObject[];
    assert.deepEqual(valueAt(container, 'resources.limits'), { cpu: '2', memory: '1Gi' });
    assert.equal(p.provisioner.stateOf(key)?.invalidParameters, undefined);
    const scaler = await find('horizontalPodAutoscaler', namespace);
    assert.equal(scaler?.metadata.ownerReferences?.[0]?.uid, gateway.metadata.uid);
    assert.deepEqual(valueAt(scaler, 'spec.scaleTargetRef'), {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: 'waypoint',
    });
    assert.equal(valueAt(scaler, 'spec.minReplicas'), 2);

    const wrong: readonly (readonly [string, RegExp])[] = [
      ['spec: {replica: 3}', /deployment\.spec\.replica is not for a Gateway to say/],
      [
        'spec: {template: {spec: {affinity: {near: {}}}}}',
        /deployment.*affinity\.near: field not declared/,
      ],
      ['spec: {strategy: {type: Nope}}', /deployment\.spec\.strategy.*Unsupported value/],
      [
        'spec: {template: {spec: {serviceAccountName: admin}}}',
        /serviceAccountName.*found "admin"/,
      ],
    ];
    for (const [text, said] of wrong) {
      await write({ deployment: text });
      await until(() => said.test(p.provisioner.stateOf(key)?.invalidParameters ?? ''));
      assert.equal((await present(namespace)).length, PART_KINDS.length, 'the last good ones stay');
    }
    await write({});
    await until(() => p.provisioner.stateOf(key)?.invalidParameters === undefined);
    await until(async () => (await present(namespace)).length === MADE.length);
  });

  it('puts back what others change, and the labels by which it finds it', async () => {
    const namespace = await cluster.namespace();
    await using p = provision(contextOf(cluster), 0);
    p.provisioner.set(specs(onDemand(namespace)));
    await until(async () => (await present(namespace)).length === MADE.length);
    const image = (object: KubeObject | undefined): unknown =>
      valueAt(
        (valueAt(object, 'spec.template.spec.containers') as unknown[] | undefined)?.[0],
        'image',
      );
    const { client } = cluster;
    const ref = { namespace, name: 'waypoint' };
    await client.patch(PART_TYPES.deployment, ref, {
      type: 'strategic',
      patch: {
        spec: { template: { spec: { containers: [{ name: 'istio-proxy', image: 'other' }] } } },
      },
    });
    await until(async () => image(await find('deployment', namespace)) === 'example/waypoint:1');
    await client.patch(PART_TYPES.service, ref, {
      type: 'merge',
      patch: { metadata: { labels: { 'app.kubernetes.io/managed-by': null } } },
    });
    await until(
      async () =>
        (await find('service', namespace))?.metadata.labels?.['app.kubernetes.io/managed-by'] ===
        'ambit-controller',
    );
    const { uid } = (await client.get(PART_TYPES.deployment, ref)).metadata;
    await client.delete(PART_TYPES.deployment, ref);
    await until(async () => {
      const again = (await find('deployment', namespace))?.metadata.uid;
      return again !== undefined && again !== uid;
    });
  });

  it('leaves what others made under its name, and says so', async () => {
    const namespace = await cluster.namespace();
    const key = `${namespace}/waypoint`;
    const ports = [{ port: 80 }];
    const metadata = { namespace, name: 'waypoint' };
    const theirs = await cluster.client.create(PART_TYPES.service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { ports },
    });
    await using p = provision(contextOf(cluster), 0);
    p.provisioner.set(specs(onDemand(namespace)));
    await until(() => p.provisioner.stateOf(key)?.reason === 'Invalid');
    assert.match(
      p.provisioner.stateOf(key)?.message ?? '',
      /Service\/.*not made by this controller/,
    );
    assert.equal(p.provisioner.stateOf(key)?.programmed, false);
    p.provisioner.set(specs());
    await until(async () => (await present(namespace)).length === 1);
    const now = await find('service', namespace);
    assert.equal(now?.metadata.resourceVersion, theirs.metadata.resourceVersion, 'untouched');
  });
});
