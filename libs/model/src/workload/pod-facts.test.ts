import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Namespace, Pod } from '@ambit/api';

import { podFacts } from './pod-facts.ts';

const meta = { generation: 0, creationTimestampMs: 0, labels: {}, annotations: {} };
const SHOP: Namespace = {
  kind: 'Namespace',
  apiVersion: 'v1',
  metadata: { ...meta, name: 'shop', namespace: '' },
};

interface Parts {
  readonly metadata?: Partial<Pod['metadata']>;
  readonly spec?: Partial<Pod['spec']>;
  readonly status?: Partial<Pod['status']>;
}

function pod({ metadata = {}, spec = {}, status = {} }: Parts = {}): Pod {
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: { ...meta, name: 'cart', namespace: 'shop', uid: 'u1', ...metadata },
    spec: {
      serviceAccountName: 'cart',
      nodeName: 'node1',
      hostNetwork: false,
      containers: [],
      ...spec,
    },
    status: { phase: 'Pending', podIPs: [], ready: false, terminating: false, ...status },
  };
}

describe('podFacts', () => {
  it('says who a pod is that has no address yet', () => {
    assert.deepEqual(podFacts(pod(), SHOP), {
      namespace: 'shop',
      name: 'cart',
      uid: 'u1',
      node: 'node1',
      serviceAccount: 'cart',
      annotations: {},
    });
  });

  it('is absent while it could be wrong, and for what nobody captures', () => {
    const absent: readonly (readonly [string, Pod, Namespace | undefined])[] = [
      ['no Namespace yet', pod(), undefined],
      ['on no node yet', pod({ spec: { nodeName: '' } }), SHOP],
      ['of the host network', pod({ spec: { hostNetwork: true } }), SHOP],
      ['succeeded', pod({ status: { phase: 'Succeeded' } }), SHOP],
      ['failed', pod({ status: { phase: 'Failed' } }), SHOP],
    ];
    for (const [what, value, namespace] of absent) {
      assert.equal(podFacts(value, namespace), undefined, what);
    }
  });

  it('says what is decided for the pod alone', () => {
    const labelled = (labels: Record<string, string>, annotations = {}) =>
      podFacts(pod({ metadata: { labels, annotations } }), SHOP)?.mode;
    assert.equal(labelled({}), undefined);
    assert.equal(labelled({ 'istio.io/dataplane-mode': 'ambient' }), 'ambient');
    assert.equal(labelled({ 'istio.io/dataplane-mode': 'none' }), 'none');
    assert.equal(labelled({ 'istio.io/dataplane-mode': 'sidecar' }), undefined);
    const sidecar = { 'sidecar.istio.io/status': '{}' };
    assert.equal(labelled({ 'istio.io/dataplane-mode': 'ambient' }, sidecar), 'none');
    assert.equal(labelled({ app: 'ztunnel' }), undefined, 'what looks like an agent');
  });

  it('takes the uid of a static pod as kubelet says it, and only annotations of capture', () => {
    const annotations = {
      'kubernetes.io/config.hash': 'abc',
      'ambient.istio.io/bypass-inbound-capture': 'true',
      'traffic.sidecar.istio.io/excludeInboundPorts': '9'.repeat(5000),
      secret: 'x',
    };
    const facts = podFacts(pod({ metadata: { annotations } }), SHOP);
    assert.equal(facts?.uid, 'abc');
    assert.deepEqual(facts.annotations, { 'ambient.istio.io/bypass-inbound-capture': 'true' });
  });
});
