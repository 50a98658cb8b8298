import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';
import { FakeClock } from '@ambit/core/testing';

import { pod } from '../shop-objects.testing.ts';
import { AGAIN_MS_MAX, ChangeFollower } from './change-follower.ts';
import { MeshStore, type StoreEvent } from './mesh-store.ts';

const MESH = {
  ...{ trustDomain: 'cluster.local', rootNamespace: 'istio-system', clusterId: 'Kubernetes' },
  ...{ clusterDomain: 'cluster.local', network: '' },
};
const keyOf = (name: string): string => `Pod/shop/${name}`;
const uidOf = (name: string): string => `Kubernetes//Pod/shop/${name}`;

function object(name: string): MeshObject {
  const parsed = parseObject(pod(name)).object;
  assert.ok(parsed);
  return parsed;
}

/** A store with a listener that throws when it is told of an address in `odd`, and keeps what it is told otherwise. */
function bed() {
  const clock = new FakeClock();
  const failed: unknown[] = [];
  const onListenerFailed = (error: unknown): void => void failed.push(error);
  const store = new MeshStore(MESH, { pending: [], clock, onListenerFailed });
  const odd = new Set<string>();
  const held = new Set<string>();
  let calls = 0;
  store.onChange(({ delta: { addresses } }) => {
    calls += 1;
    const names = [...addresses.changed, ...addresses.removed];
    if (names.some((name) => odd.has(name))) throw new Error('odd');
    for (const name of addresses.changed) held.add(name);
    for (const name of addresses.removed) held.delete(name);
  });
  const again = async (): Promise<void> => {
    clock.advance(AGAIN_MS_MAX * 2);
    for (let n = 0; n < 5; n += 1) await Promise.resolve();
  };
  const addresses = (): readonly string[] => [...store.model.live.addresses.keys()].sort();
  return { store, failed, odd, held, again, addresses, calls: () => calls };
}

describe('MeshStore', () => {
  it('tells every listener, whichever of them throws, and blames no batch for it', () => {
    const { store, failed, odd } = bed();
    const told: string[] = [];
    odd.add(uidOf('a'));
    store.onChange(({ causes }) => void told.push(...causes));
    store.apply({ upserts: [object('a')] });
    assert.deepEqual(told, [keyOf('a')]);
    assert.deepEqual(failed, [new Error('odd')]);
    store.stop();
  });

  it('tells a listener again what it could not take, until it has it', async () => {
    const { store, failed, odd, held, again, addresses } = bed();
    odd.add(uidOf('a'));
    store.apply({ upserts: [object('a'), object('b'), object('c')] });
    assert.deepEqual([...held], [], 'nothing of the change');
    await again();
    assert.deepEqual([...held].sort(), [uidOf('b'), uidOf('c')], 'all but the odd one');
    assert.equal(store.behind.waiting, 1);
    await again();
    assert.equal(failed.length, 3, 'one for each attempt');
    odd.clear();
    await again();
    assert.deepEqual([...held].sort(), addresses());
    assert.deepEqual(store.behind, { waiting: 0, lost: 0 });
    store.stop();
  });

  it('tells what is in force by then, also that it went', async () => {
    const { store, odd, held, again } = bed();
    store.apply({ upserts: [object('a'), object('b')] });
    odd.add(uidOf('a')).add(uidOf('b'));
    store.apply({ removes: [keyOf('a')] });
    store.apply({ removes: [keyOf('b')] });
    store.apply({ upserts: [object('b')] });
    odd.clear();
    await again();
    assert.deepEqual([...held], [uidOf('b')]);
    assert.equal(store.behind.waiting, 0);
    store.stop();
  });

  it('owes nothing of what a later change told, nor to whoever has gone or after its end', async () => {
    const { store, odd, held, again, calls } = bed();
    odd.add(uidOf('a'));
    store.apply({ upserts: [object('a')] });
    odd.clear();
    store.apply({ removes: [keyOf('a')] });
    assert.deepEqual([store.behind.waiting, [...held]], [0, []]);
    await again();
    assert.equal(calls(), 2);
    odd.add(uidOf('b'));
    store.apply({ upserts: [object('b')] });
    store.stop();
    await again();
    assert.equal(calls(), 3);
  });

  it('forgets the oldest of too many names that cannot be told, and counts them', () => {
    const none = { changed: new Set<string>(), removed: new Set<string>() };
    const others = { addresses: none, authorizations: none, enrolments: none, pods: none };
    const delta = { ...others, waypoints: none, scopes: none, objects: none, statuses: none };
    const eventOf = (...causes: readonly string[]): StoreEvent => {
      return { delta, causes: new Set(causes) };
    };
    let isOdd = true;
    const follower = new ChangeFollower({
      clock: new FakeClock(),
      listener: () => {
        if (isOdd) throw new Error('odd');
      },
      has: () => false,
      onFailed: () => undefined,
      owedMax: 2,
    });
    follower.take(eventOf('a', 'b', 'c'));
    follower.take(eventOf('b'));
    follower.take(eventOf('d'));
    assert.deepEqual([follower.behind, follower.lost], [2, 2]);
    isOdd = false;
    follower.take(eventOf('b', 'c'));
    assert.equal(follower.behind, 1, 'd is owed, c was the oldest');
    follower.stop();
  });
});
