/** What a pod costs in the model and as a resource for proxies, beside the object itself: with its Service and a policy. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';
import { FakeClock } from '@ambit/core/testing';
import { heapAfterGc } from '@ambit/kube/testing';
import { loadContentHash } from '@ambit/xds';

import { ModelResources } from '../serve/model-resources.ts';
import { MeshStore } from './mesh-store.ts';

const PODS = 4_000;
const BYTES_MAX = 11_500;
const MESH = {
  ...{ trustDomain: 'cluster.local', rootNamespace: 'istio-system', clusterId: 'Kubernetes' },
  ...{ clusterDomain: 'cluster.local', network: '', hearsAgents: true },
};

function parsed(value: unknown): MeshObject {
  const { object, findings } = parseObject(value);
  assert.ok(object, JSON.stringify(findings));
  return object;
}

function* world(pods: number): Generator<MeshObject> {
  const labels = { 'istio.io/dataplane-mode': 'ambient' };
  for (let n = 0; n < 20; n += 1) {
    yield parsed({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `ns-${n}`, labels } });
  }
  for (let n = 0; n < pods / 10; n += 1) {
    const metadata = { name: `app-${n}`, namespace: `ns-${n % 20}` };
    const selector = { app: `app-${n}` };
    const ports = [{ name: 'http', port: 80, targetPort: 'http' }];
    const clusterIPs = [`10.96.${n >> 8}.${n & 255}`];
    yield parsed({
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector, ports, clusterIPs },
    });
    const rules = [{ from: [{ source: { principals: ['cluster.local/ns/ns-0/sa/app'] } }] }];
    const spec = { selector: { matchLabels: selector }, rules };
    const apiVersion = 'security.istio.io/v1';
    yield parsed({ apiVersion, kind: 'AuthorizationPolicy', metadata, spec });
  }
  for (let n = 0; n < pods; n += 1) yield podAt(n, pods / 10);
}

function podAt(n: number, apps: number): MeshObject {
  const app = n % apps;
  const ports = [{ name: 'http', containerPort: 8080 }];
  return parsed({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `app-${app}-7d9c5b6f4-${n}`,
      namespace: `ns-${app % 20}`,
      uid: `uid-${n}`,
      labels: { app: `app-${app}`, version: 'v1' },
    },
    spec: {
      serviceAccountName: 'app',
      nodeName: `node-${n % 50}`,
      containers: [{ name: 'app', ports }],
    },
    status: { phase: 'Running', podIP: `10.64.${n >> 8}.${n & 255}` },
  });
}

async function storeOf(objects: readonly MeshObject[]): Promise<MeshStore> {
  const store = new MeshStore(MESH, { pending: [], clock: new FakeClock() });
  const resources = new ModelResources(await loadContentHash());
  store.inspectWith((delta) => resources.prepare(store.model.live, delta));
  store.onChange(({ delta }) => resources.update(store.model.live, delta));
  store.apply({ upserts: objects });
  return store;
}

describe('memory of a MeshStore', () => {
  it(`is less than ${BYTES_MAX} bytes a pod`, async (t) => {
    // Code that is compiled on the way counts for no pod.
    await storeOf([...world(500)]);
    const objects = [...world(PODS)];
    const before = await heapAfterGc();
    const store = await storeOf(objects);
    const perPod = ((await heapAfterGc()) - before) / PODS;
    t.diagnostic(`${Math.round(perPod)} bytes a pod`);
    assert.equal(store.model.live.addresses.size, PODS * 1.1);
    assert.ok(perPod < BYTES_MAX, `${perPod} bytes a pod`);
  });
});
