import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, type ObjectKey, parseObject } from '@ambit/api';
import { keyOf } from '@ambit/model';

import { uncapturedPods } from './uncaptured-pods.ts';

function parsed(raw: Readonly<Record<string, unknown>>): MeshObject {
  const { object } = parseObject({ apiVersion: 'v1', ...raw });
  assert.ok(object);
  return object;
}

function pod(name: string, more: { readonly phase?: string; readonly labels?: object } = {}) {
  const { phase = 'Running', labels = {} } = more;
  return parsed({
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels },
    spec: { nodeName: 'node1', containers: [] },
    status: { phase },
  });
}

const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };

function find(
  labels: object,
  pods: readonly MeshObject[],
  captured: readonly string[],
  bypassed = '',
) {
  const namespace = parsed({ kind: 'Namespace', metadata: { name: 'shop', labels } });
  const objects = new Map<ObjectKey, MeshObject>(
    [namespace, ...pods].map((object) => [keyOf(object), object]),
  );
  const isCaptured = (node: string, uid: string): boolean =>
    node === 'node1' && captured.includes(uid);
  const isBypassed = (name: string): boolean => name === bypassed;
  return uncapturedPods({ objects, isCaptured, isBypassed, clusterId: 'Kubernetes' });
}

describe('uncapturedPods', () => {
  it('names those that run enrolled and that no agent has', () => {
    const pods = [
      pod('held'),
      pod('open'),
      pod('done', { phase: 'Succeeded' }),
      pod('waits', { phase: 'Pending' }),
      pod('out', { labels: { 'istio.io/dataplane-mode': 'none' } }),
    ];
    assert.deepEqual(find(AMBIENT, pods, ['Kubernetes//Pod/shop/held']), ['Pod/shop/open']);
  });

  it('names none of a namespace that is let out, but those that say themselves that they are in', () => {
    const pods = [pod('open'), pod('in', { labels: AMBIENT })];
    assert.deepEqual(find(AMBIENT, pods, [], 'shop'), ['Pod/shop/in']);
    assert.deepEqual(find(AMBIENT, pods, [], 'other'), ['Pod/shop/open', 'Pod/shop/in']);
  });

  it('names none of a namespace that is not enrolled', () => {
    assert.deepEqual(find({}, [pod('open')], []), []);
    assert.deepEqual(find({}, [pod('in', { labels: AMBIENT })], []), ['Pod/shop/in']);
  });
});
