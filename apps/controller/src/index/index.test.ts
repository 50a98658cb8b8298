import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';
import { FakeClock } from '@ambit/core/testing';
import { keyOf } from '@ambit/model';

import { pod } from '../controller.testing.ts';
import { Generations } from '../status/generations.ts';
import { type CaptureChange, Captures, RECLAIM_MS } from './captures.ts';
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
  const B = 'Kubernetes//Pod/shop/b';
  const NONE = { add: [], remove: [] };
  const turn = (): Promise<unknown> => new Promise(setImmediate);

  function capturesOf(objects: Map<string, MeshObject>) {
    const clock = new FakeClock();
    const lapsed: CaptureChange[] = [];
    const onLapse = (change: CaptureChange): number => lapsed.push(change);
    return { clock, lapsed, captures: new Captures({ objects, clock, onLapse }) };
  }

  it('counts a claim of the node that the pod runs on, and of no other', () => {
    const { captures } = capturesOf(objectsOf(pod('a')));
    assert.deepEqual(captures.claim('node2', new Set([A]), 1), NONE);
    assert.deepEqual(captures.claim('node1', new Set([A]), 2), { add: [A], remove: [] });
    assert.deepEqual(captures.of('node1'), [A]);
    assert.deepEqual(captures.claim('node1', new Set(), 2), { add: [], remove: [A] });
  });

  it('counts a claim once its pod is known, and no longer once it is gone', () => {
    const objects = objectsOf();
    const { captures } = capturesOf(objects);
    assert.deepEqual(captures.claim('node1', new Set([A]), 1), NONE);
    objects.set('Pod/shop/a', object(pod('a')));
    assert.deepEqual(captures.update(['Pod/shop/a'], 'Kubernetes'), { add: [A], remove: [] });
    objects.delete('Pod/shop/a');
    assert.deepEqual(captures.update(['Pod/shop/a'], 'Kubernetes'), { add: [], remove: [A] });
  });

  // An agent that starts names its pods one by one; each would have been plain for that long.
  it('lets what an agent said hold for a while after it came back, then no longer', async () => {
    const { captures, clock, lapsed } = capturesOf(objectsOf(pod('a'), pod('b')));
    captures.claim('node1', new Set([A, B]), 1);
    assert.deepEqual(captures.claim('node1', new Set(), 2), NONE);
    assert.deepEqual(captures.claim('node1', new Set([B]), 2), NONE);
    clock.advance(RECLAIM_MS - 1);
    await turn();
    assert.deepEqual(captures.of('node1'), [A, B]);
    clock.advance(1);
    await turn();
    assert.deepEqual(lapsed, [{ add: [], remove: [A] }]);
    assert.deepEqual(captures.of('node1'), [B]);
  });

  it('starts the time again with each new stream, and says nothing of what came in time', async () => {
    const { captures, clock, lapsed } = capturesOf(objectsOf(pod('a')));
    captures.claim('node1', new Set([A]), 1);
    captures.claim('node1', new Set(), 2);
    clock.advance(RECLAIM_MS / 2);
    await turn();
    captures.claim('node1', new Set(), 3);
    clock.advance(RECLAIM_MS / 2);
    await turn();
    assert.deepEqual(captures.of('node1'), [A]);
    captures.claim('node1', new Set([A]), 3);
    clock.advance(RECLAIM_MS);
    await turn();
    assert.deepEqual(lapsed, []);
    captures.stop();
  });

  it('knows after a restart what it knew, until the agent says otherwise', () => {
    const first = capturesOf(objectsOf(pod('a')));
    first.captures.claim('node1', new Set([A]), 1);
    const objects = objectsOf();
    const second = capturesOf(objects);
    second.captures.restore(JSON.parse(JSON.stringify(first.captures.save())));
    objects.set('Pod/shop/a', object(pod('a')));
    assert.deepEqual(second.captures.update(['Pod/shop/a'], 'Kubernetes').add, [A]);
    assert.deepEqual(second.captures.claim('node1', new Set([A]), 1), NONE);
    assert.deepEqual(second.captures.claim('node1', new Set(), 1).remove, [A]);
    for (const json of [undefined, null, 1, 'x', { node1: 'x' }, { node1: [1, null] }]) {
      const { captures } = capturesOf(objectsOf(pod('a')));
      captures.restore(json);
      assert.deepEqual(captures.update(['Pod/shop/a'], 'Kubernetes'), NONE);
    }
  });

  it('has a bound for one node, and counts what is over', () => {
    const { captures } = capturesOf(objectsOf());
    captures.claim('node1', new Set(Array.from({ length: 2_003 }, (_, index) => `u${index}`)), 1);
    assert.equal(captures.refused, 3);
  });

  it('passes over names that are no uid of a pod', () => {
    const { captures } = capturesOf(objectsOf(pod('a')));
    assert.deepEqual(captures.claim('node1', new Set(['', 'x', '//Pod/', '*']), 1), NONE);
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
