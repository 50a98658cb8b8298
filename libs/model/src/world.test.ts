/**
 * The model against recordings: the objects of a real cluster must become the resources that the
 * reference made of them, but for the differences that are listed here, each with its reason.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';

import { MeshModel } from './mesh-model.ts';
import { asRecorded } from './recorded.testing.ts';

const OPTIONS = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
};

/** Resources that are not compared, and why. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  'Kubernetes/discovery.k8s.io/EndpointSlice/default/kubernetes/10.90.0.1':
    'EndpointSlices are not read: endpoints come from pods and entries',
  'Kubernetes/discovery.k8s.io/EndpointSlice/kube-system/kube-dns/10.90.0.1':
    'EndpointSlices are not read: endpoints come from pods and entries',
  'Kubernetes/networking.istio.io/ServiceEntry/bookshop/inline/192.0.2.20':
    'the reference lists every selector policy of the namespace, a defect',
  'Kubernetes/networking.istio.io/ServiceEntry/bookshop/inline/2001:db8::20':
    'the reference lists every selector policy of the namespace, a defect',
  'Kubernetes/networking.istio.io/ServiceEntry/bookshop/dns/api.example.com':
    'the reference lists every selector policy of the namespace, a defect',
  'bookshop/http-allow': 'needs the request: decided at the waypoint, never weakened for agents',
  'bookshop/http-deny': 'needs the request: decided at the waypoint, never weakened for agents',
  'Kubernetes//Pod/bookshop/client': 'guarded, because http-allow and http-deny select it',
  'Kubernetes//Pod/bookshop/extra': 'gone at the end',
  'bookshop/extra-policy': 'gone at the end',
  'bookshop/brief.bookshop.svc.cluster.local': 'gone at the end',
  'Kubernetes//Pod/bookshop/reviews-v1-c6f876d6f-qhldm':
    'named by at-waypoint through its service: lists the policy that keeps the guard',
  'Kubernetes//Pod/bookshop/reviews-v2-785cb5dc55-vzbh2':
    'named by at-waypoint through its service: lists the policy that keeps the guard',
};

function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8'));
}

function world(): readonly MeshObject[] {
  return (fixture('world-objects.json') as readonly unknown[]).map((value) => {
    const { object, findings } = parseObject(value);
    assert.ok(object, JSON.stringify(findings));
    return object;
  });
}

describe('MeshModel on a recorded world', () => {
  const model = new MeshModel(OPTIONS);
  model.apply({ upserts: world() });
  const { addresses, authorizations } = model.outputs;
  const recorded = fixture('world-resources.json') as Readonly<Record<string, readonly unknown[]>>;

  for (const [typed, versions] of Object.entries(recorded)) {
    const [type = '', name = ''] = typed.split(' ');
    it(`makes ${typed}`, (context) => {
      const difference = DIFFERENCES[name];
      if (difference !== undefined) {
        context.diagnostic(difference);
        return;
      }
      const made = type === 'Address' ? addresses.get(name) : authorizations.get(name);
      assert.ok(made, `${name} is missing`);
      const shaped = asRecorded(made);
      const isSame = versions.some((version) => {
        try {
          assert.deepEqual(shaped, version);
          return true;
        } catch {
          return false;
        }
      });
      if (!isSame) assert.deepEqual(shaped, versions.at(-1));
    });
  }
});
