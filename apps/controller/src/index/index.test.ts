import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';
import { keyOf } from '@ambit/model';

import { pod } from '../controller.testing.ts';
import { Generations } from '../status/generations.ts';
import { Captures } from './captures.ts';
import { ObjectPodIndex } from './pod-index.ts';

function object(value: unknown): MeshObject {
  const { object: parsed, findings } = parseObject(value);
  assert.ok(parsed, JSON.stringify(findings));
  return parsed;
}

function objectsOf(...values: readonly unknown[]): Map<string, MeshObject> {
  return new Map(values.map(object).map((parsed) => [keyOf(parsed), parsed]));
}

describe('ObjectPodIndex', () => {
  it('follows pods as they come, move, fail and go', () => {
    const objects = objectsOf(pod('a', { account: 'web' }));
    const index = new ObjectPodIndex(objects);
    const key = 'Pod/shop/a';
    const onNode1 = { namespace: 'shop', serviceAccount: 'web', node: 'node1' };
    assert.equal(index.hasPodOnNode(onNode1), false, 'not told yet');
    index.update(key);
    assert.equal(index.hasPodOnNode(onNode1), true);
    assert.deepEqual(index.pod('shop', 'a'), {
      uid: 'uid-a',
      serviceAccount: 'web',
      node: 'node1',
    });
    objects.set(key, object(pod('a', { account: 'web', node: 'node2' })));
    index.update(key);
    assert.equal(index.hasPodOnNode(onNode1), false);
    assert.equal(index.hasPodOnNode({ ...onNode1, node: 'node2' }), true);
    const failed = pod('a', { account: 'web' }) as { status: { phase: string } };
    failed.status.phase = 'Failed';
    objects.set(key, object(failed));
    index.update(key);
    assert.equal(index.hasPodOnNode(onNode1), false, 'a failed pod has no identity to ask for');
    objects.delete(key);
    index.update(key);
    assert.equal(index.pod('shop', 'a'), undefined);
  });
});

describe('Captures', () => {
  const A = 'Kubernetes//Pod/shop/a';

  it('counts a claim of the node that the pod runs on, and of no other', () => {
    const captures = new Captures(objectsOf(pod('a')));
    assert.deepEqual(captures.claim('node2', new Set([A])), { add: [], remove: [] });
    assert.deepEqual(captures.claim('node1', new Set([A])), { add: [A], remove: [] });
    assert.deepEqual(captures.of('node1'), [A]);
    assert.deepEqual(captures.claim('node1', new Set()), { add: [], remove: [A] });
  });

  it('counts a claim once its pod is known, and no longer once it is gone', () => {
    const objects = objectsOf();
    const captures = new Captures(objects);
    assert.deepEqual(captures.claim('node1', new Set([A])), { add: [], remove: [] });
    objects.set('Pod/shop/a', object(pod('a')));
    assert.deepEqual(captures.update(['Pod/shop/a'], 'Kubernetes'), { add: [A], remove: [] });
    objects.delete('Pod/shop/a');
    assert.deepEqual(captures.update(['Pod/shop/a'], 'Kubernetes'), { add: [], remove: [A] });
  });

  it('has a bound for one node, and counts what is over', () => {
    const captures = new Captures(objectsOf());
    captures.claim('node1', new Set(Array.from({ length: 2_003 }, (_, index) => `u${index}`)));
    assert.equal(captures.refused, 3);
  });

  it('passes over names that are no uid of a pod', () => {
    const captures = new Captures(objectsOf(pod('a')));
    assert.deepEqual(captures.claim('node1', new Set(['', 'x', '//Pod/', '*'])), {
      add: [],
      remove: [],
    });
  });
});

describe('Generations', () => {
  const base = { apiVersion: 'v1', kind: 'Service', metadata: { name: 's', namespace: 'n' } };
  const version = (port: number): MeshObject => object({ ...base, spec: { ports: [{ port }] } });

  it('counts changes of content, also across a restart', () => {
    const first = new Generations();
    assert.equal(first.stamp(version(1)).metadata.generation, 1);
    assert.equal(first.stamp(version(1)).metadata.generation, 1);
    assert.equal(first.stamp(version(2)).metadata.generation, 2);
    const second = new Generations();
    second.restore(JSON.parse(JSON.stringify(first.save())));
    assert.equal(second.stamp(version(2)).metadata.generation, 2);
    assert.equal(second.stamp(version(3)).metadata.generation, 3);
  });

  it('keeps what its source gave, and counts no pods', () => {
    const generations = new Generations();
    const given = object({
      ...base,
      metadata: { ...base.metadata, generation: 9 },
      spec: { ports: [{ port: 1 }] },
    });
    assert.equal(generations.stamp(given).metadata.generation, 9);
    assert.equal(generations.stamp(object(pod('a'))).metadata.generation, 0);
  });

  it('starts anew from what is no state', () => {
    for (const json of [
      undefined,
      null,
      1,
      [],
      { 'Service/n/s': 'x' },
      { 'Service/n/s': [1, 2] },
    ]) {
      const generations = new Generations();
      generations.restore(json);
      assert.equal(generations.stamp(version(1)).metadata.generation, 1);
    }
  });
});
