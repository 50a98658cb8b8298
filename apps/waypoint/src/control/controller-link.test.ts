import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import { SEMANTICS_VERSION } from '@ambit/model';
import { encodeObject, type Rejection, TYPE_URL } from '@ambit/xds';
import type { Change, Rejections } from '../workers/worker-pool.ts';
import { subscriptionsOf } from './controller-link.ts';
import { MeshState } from './mesh-state.ts';

function policy(name: string): MeshObject {
  const { object } = parseObject({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'shop' },
    spec: {},
  });
  assert.ok(object !== undefined);
  return object;
}

function rulesOf(object: MeshObject | undefined): string | undefined {
  if (object?.kind !== 'AuthorizationPolicy') return undefined;
  const { action, rules } = object.spec;
  return `${action} ${rules.length === 0 ? 'nobody' : 'everybody'}`;
}

function setUp(refuse: Rejections = []) {
  const state = new MeshState();
  const applied: Change[] = [];
  const subscriptions = subscriptionsOf(
    state,
    (change) => {
      applied.push(change);
      return Promise.resolve(refuse);
    },
    'istio-waypoint',
  );
  const [objects] = subscriptions;
  assert.ok(objects !== undefined);
  const push = async (
    names: readonly string[],
    semanticsVersion = SEMANTICS_VERSION,
    removed: readonly string[] = [],
  ): Promise<readonly Rejection[]> =>
    await objects.apply({
      changed: names.map((name) => {
        const key = `AuthorizationPolicy/shop/${name}`;
        const value = encodeObject({ key, semanticsVersion, object: policy(name) });
        return { name: key, version: '1', value };
      }),
      removed,
    });
  return { state, applied, subscriptions, push };
}

describe('subscriptionsOf', () => {
  it('asks for policy and routes before addresses', () => {
    const { subscriptions } = setUp();
    assert.deepEqual(
      subscriptions.map(({ typeUrl }) => typeUrl),
      [TYPE_URL.object, TYPE_URL.address, TYPE_URL.trust],
    );
  });

  it('hands objects to the workers and keeps them for later ones', async () => {
    const { state, applied, push } = setUp();
    assert.deepEqual(await push(['a', 'b']), []);
    assert.deepEqual(await push([], SEMANTICS_VERSION, ['AuthorizationPolicy/shop/a']), []);
    assert.deepEqual(
      state.objects.map(({ metadata }) => metadata.name),
      ['b'],
    );
    assert.equal(applied.length, 2);
    assert.deepEqual(
      state.changes().map(({ kind }) => kind),
      ['objects', 'addresses'],
    );
  });

  it('refuses an object of a later version of the semantics, alone', async () => {
    const { state, push } = setUp();
    const rejected = await push(['a'], SEMANTICS_VERSION + 1);
    assert.equal(rejected[0]?.name, 'AuthorizationPolicy/shop/a');
    assert.match(rejected[0]?.reason ?? '', /version/);
    assert.deepEqual(rulesOf(state.object('AuthorizationPolicy/shop/a')), 'DENY everybody');
  });

  it('keeps a policy that says what it said before, in whatever version', async () => {
    const { state, push } = setUp();
    await push(['a']);
    assert.equal((await push(['a'], SEMANTICS_VERSION + 1)).length, 1);
    assert.equal(rulesOf(state.object('AuthorizationPolicy/shop/a')), 'ALLOW nobody');
  });

  it('refuses everybody in place of a policy that it cannot read', async () => {
    const { state, subscriptions } = setUp();
    const [objects] = subscriptions;
    assert.ok(objects !== undefined);
    const value = Buffer.from('nonsense');
    const changed = ['AuthorizationPolicy/shop/a', 'VirtualService/shop/a'].map((name) => ({
      name,
      version: '1',
      value,
    }));
    const rejected = await objects.apply({ changed, removed: [] });
    assert.equal(rejected.length, 2);
    assert.deepEqual(state.objects.map(rulesOf), ['DENY everybody']);
    await objects.apply({ changed: [], removed: ['AuthorizationPolicy/shop/a'] });
    assert.deepEqual(state.objects, []);
  });

  it('passes on what workers cannot compile', async () => {
    const { push } = setUp([{ key: 'AuthorizationPolicy/shop/a', error: 'bad port' }]);
    assert.deepEqual(await push(['a', 'b']), [
      { name: 'AuthorizationPolicy/shop/a', reason: 'bad port' },
    ]);
  });
});
