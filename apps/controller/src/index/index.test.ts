import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';
import { FakeClock } from '@ambit/core/testing';
import { keyOf } from '@ambit/model';

import { pod } from '../shop-objects.testing.ts';
import { Generations } from '../status/generations.ts';
import { type CaptureChange, Captures, RECLAIM_MS, type Speaker } from './captures.ts';
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
  const stream = (at: number): Speaker => ({ id: `stream ${at}`, sinceMs: at });
  const turn = (): Promise<unknown> => new Promise(setImmediate);

  function capturesOf(objects: Map<string, MeshObject>) {
    const clock = new FakeClock();
    const lapsed: CaptureChange[] = [];
    const onLapse = (change: CaptureChange): number => lapsed.push(change);
    return { clock, lapsed, captures: new Captures({ objects, clock, onLapse }) };
  }

  it('counts a claim of the node that the pod runs on, and of no other', () => {
    const { captures } = capturesOf(objectsOf(pod('a')));
    assert.deepEqual(captures.claim('node2', new Set([A]), stream(1)), NONE);
    assert.deepEqual(captures.claim('node1', new Set([A]), stream(2)), { add: [A], remove: [] });
    assert.deepEqual(captures.of('node1'), [A]);
    assert.deepEqual(captures.claim('node1', new Set(), stream(2)), { add: [], remove: [A] });
  });

  it('counts a claim once its pod is known, and no longer once it is gone', () => {
    const objects = objectsOf();
    const { captures } = capturesOf(objects);
    assert.deepEqual(captures.claim('node1', new Set([A]), stream(1)), NONE);
    objects.set('Pod/shop/a', object(pod('a')));
    assert.deepEqual(captures.update(['Pod/shop/a'], 'Kubernetes'), { add: [A], remove: [] });
    objects.delete('Pod/shop/a');
    assert.deepEqual(captures.update(['Pod/shop/a'], 'Kubernetes'), { add: [], remove: [A] });
  });

  // An agent that starts names its pods one by one; each would have been plain for that long.
  it('lets what an agent said hold for a while after it came back, then no longer', async () => {
    const { captures, clock, lapsed } = capturesOf(objectsOf(pod('a'), pod('b')));
    captures.claim('node1', new Set([A, B]), stream(1));
    assert.deepEqual(captures.claim('node1', new Set(), stream(2)), NONE);
    assert.deepEqual(captures.claim('node1', new Set([B]), stream(2)), NONE);
    clock.advance(RECLAIM_MS - 1);
    await turn();
    assert.deepEqual(captures.of('node1'), [A, B]);
    clock.advance(1);
    await turn();
    assert.deepEqual(lapsed, [{ add: [], remove: [A] }]);
    assert.deepEqual(captures.of('node1'), [B]);
  });

  it('presumes what nobody can remember until its agent has spoken, and says it to nobody', async () => {
    const { captures, clock, lapsed } = capturesOf(
      objectsOf(pod('a'), pod('b'), pod('c', { node: 'node2' })),
    );
    const C = 'Kubernetes//Pod/shop/c';
    captures.claim('node2', new Set(), stream(1));
    const gone = 'Kubernetes//Pod/shop/gone';
    const presumed = { add: [A, B], remove: [], presumed: [A, B] };
    assert.deepEqual(captures.presume([A, B, C, gone]), presumed, 'node2 spoke');
    assert.deepEqual(captures.of('node1'), [], 'no policy is in force by that');
    assert.equal(captures.own().has('node1'), false);
    assert.deepEqual(captures.presume([A]).add, []);
    const said = captures.claim('node1', new Set([B]), stream(2));
    assert.deepEqual(said, { add: [B], remove: [] }, 'said, which is more than presumed');
    assert.deepEqual(captures.claim('node1', new Set([B]), stream(2)), NONE);
    assert.deepEqual(captures.of('node1'), [B]);
    const pods = [...objectsOf(pod('a'), pod('b'), pod('b', { node: 'node2' })).values()];
    assert.deepEqual(captures.namedOf(pods, 'Kubernetes'), [], 'on its own node alone');
    const [own] = objectsOf(pod('b')).values();
    assert.deepEqual(captures.namedOf(own === undefined ? [] : [own], 'Kubernetes'), [B]);
    clock.advance(RECLAIM_MS);
    await turn();
    assert.deepEqual(lapsed, [{ add: [], remove: [A] }]);
    assert.deepEqual(captures.claim('node1', new Set([A, B]), stream(2)), { add: [A], remove: [] });
    assert.deepEqual(captures.of('node1'), [A, B]);
  });

  it('starts the time again with each new stream, and says nothing of what came in time', async () => {
    const { captures, clock, lapsed } = capturesOf(objectsOf(pod('a')));
    captures.claim('node1', new Set([A]), stream(1));
    captures.claim('node1', new Set(), stream(2));
    clock.advance(RECLAIM_MS / 2);
    await turn();
    captures.claim('node1', new Set(), stream(3));
    clock.advance(RECLAIM_MS / 2);
    await turn();
    assert.deepEqual(captures.of('node1'), [A]);
    captures.claim('node1', new Set([A]), stream(3));
    clock.advance(RECLAIM_MS);
    await turn();
    assert.deepEqual(lapsed, []);
    captures.stop();
  });

  it('believes the newest stream of a node, here or elsewhere, and the other when that ends', () => {
    const { captures } = capturesOf(objectsOf(pod('a'), pod('b')));
    const here = stream(1);
    const there: Speaker = { id: 'controller-2/node1/5', sinceMs: 5, isElsewhere: true };
    captures.claim('node1', new Set([A]), here);
    assert.deepEqual([...captures.own().keys()], ['node1']);
    assert.deepEqual(captures.claim('node1', new Set([B]), there), { add: [B], remove: [] });
    assert.equal(captures.own().size, 0, 'the other replica says it');
    assert.deepEqual(captures.claim('node1', new Set([A, B]), here), NONE, 'an old stream');
    assert.deepEqual(captures.of('node1'), [A, B]);
    captures.release(there.id);
    assert.equal(captures.own().get('node1')?.sinceMs, 1);
    captures.release(here.id);
    captures.release(here.id);
    const kept = captures.own().get('node1');
    assert.equal(kept?.sinceMs, undefined);
    assert.deepEqual(captures.of('node1'), [A, B], 'what was said holds while nobody speaks');
  });

  it('holds what another replica holds of earlier streams, for as long', async () => {
    const { captures, clock, lapsed } = capturesOf(objectsOf(pod('a'), pod('b')));
    const there: Speaker = { id: 's', sinceMs: 5, isElsewhere: true, earlier: [B] };
    assert.deepEqual(captures.claim('node1', new Set([A]), there), { add: [B, A], remove: [] });
    captures.claim('node1', new Set([A]), there);
    clock.advance(RECLAIM_MS);
    await turn();
    assert.deepEqual(lapsed, [{ add: [], remove: [B] }]);
  });

  it('takes over what others remember of a node that it knows nothing of, and no more', () => {
    const { captures } = capturesOf(objectsOf(pod('a'), pod('b')));
    assert.deepEqual(captures.adopt('node1', [A]), { add: [A], remove: [] });
    assert.deepEqual(captures.adopt('node1', [A, B]), NONE);
    captures.claim('node1', new Set([B]), stream(1));
    assert.deepEqual(captures.adopt('node1', [A]), NONE);
  });

  it('forgets the oldest of too many streams that speak for one node', () => {
    const { captures } = capturesOf(objectsOf(pod('a')));
    for (let at = 1; at <= 20; at += 1) captures.claim('node1', new Set([A]), stream(at));
    for (let at = 20; at > 12; at -= 1) captures.release(`stream ${at}`);
    assert.equal(captures.own().get('node1')?.sinceMs, undefined, 'twelve were forgotten');
  });

  it('knows after a restart what it knew, until the agent says otherwise', () => {
    const first = capturesOf(objectsOf(pod('a')));
    first.captures.claim('node1', new Set([A]), stream(1));
    const objects = objectsOf();
    const second = capturesOf(objects);
    second.captures.restore(JSON.parse(JSON.stringify(first.captures.save())));
    objects.set('Pod/shop/a', object(pod('a')));
    assert.deepEqual(second.captures.update(['Pod/shop/a'], 'Kubernetes').add, [A]);
    assert.deepEqual(second.captures.claim('node1', new Set([A]), stream(1)), NONE);
    assert.deepEqual(second.captures.claim('node1', new Set(), stream(1)).remove, [A]);
    for (const json of [undefined, null, 1, 'x', { node1: 'x' }, { node1: [1, null] }]) {
      const { captures } = capturesOf(objectsOf(pod('a')));
      captures.restore(json);
      assert.deepEqual(captures.update(['Pod/shop/a'], 'Kubernetes'), NONE);
    }
  });

  it('has a bound for one node, and counts what is over', () => {
    const { captures } = capturesOf(objectsOf());
    captures.claim(
      'node1',
      new Set(Array.from({ length: 2_003 }, (_, index) => `u${index}`)),
      stream(1),
    );
    assert.equal(captures.refused, 3);
  });

  it('passes over names that are no uid of a pod', () => {
    const { captures } = capturesOf(objectsOf(pod('a')));
    assert.deepEqual(captures.claim('node1', new Set(['', 'x', '//Pod/', '*']), stream(1)), NONE);
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
