import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';

import { MeshModel } from '../mesh-model.ts';

const GATEWAY = 'gateway.networking.k8s.io/gateway-name';
const KEY = 'shop/waypoint.shop.svc.cluster.local';

function parse(value: unknown): MeshObject {
  const { object, findings } = parseObject(value);
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
}

function pod(name: string, account: string): MeshObject {
  return parse({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels: { [GATEWAY]: 'waypoint' } },
    spec: { serviceAccountName: account, nodeName: 'node1', containers: [{ name: 'proxy' }] },
    status: {
      phase: 'Running',
      podIP: '10.0.0.1',
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
}

function members(annotations: Record<string, string>, managed: string): readonly string[] {
  const model = new MeshModel({
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    network: '',
  });
  const service = parse({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'waypoint',
      namespace: 'shop',
      labels: { [GATEWAY]: 'waypoint', 'gateway.istio.io/managed': managed },
      annotations,
    },
    spec: { selector: { [GATEWAY]: 'waypoint' }, ports: [{ port: 15008 }] },
  });
  model.apply({
    upserts: [service, pod('a', 'waypoint'), pod('b', 'intruder'), pod('c', 'chosen')],
    removes: [],
  });
  return [...model.outputs.addresses.values()].flatMap((address) =>
    address.kind === 'workload' && address.workload.services[KEY] !== undefined
      ? [address.workload.name]
      : [],
  );
}

// Any pod with the label used to serve, and callers then expected that pod's identity.
describe("members of a waypoint's Service", () => {
  it('are the pods of the account named after the Gateway', () =>
    assert.deepEqual(members({}, 'istio.io-mesh-controller'), ['a']));

  it('are the pods of the account that the Service names', () =>
    assert.deepEqual(
      members({ 'gateway.istio.io/service-account': 'chosen' }, 'istio.io-mesh-controller'),
      ['c'],
    ));

  it('are all selected pods where the Service is not a waypoint that a controller made', () =>
    assert.deepEqual(members({}, 'istio.io-gateway-controller'), ['a', 'b', 'c']));
});
