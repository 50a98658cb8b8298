import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type CompiledPolicy, PolicyIndex } from '@ambit/policy';
import { encodeAuthorization, TYPE_URL } from '@ambit/xds';

import type { ResourceChange } from '../workers/worker-pool.ts';
import { subscriptionsOf } from './controller-link.ts';
import { MeshState } from './mesh-state.ts';

const deny: CompiledPolicy = {
  name: 'p',
  namespace: 'shop',
  scope: 'NAMESPACE',
  action: 'DENY',
  dryRun: false,
  rules: [{ clauses: [] }],
};
/** Field 15, a varint: no version of the message has it. */
const FUTURE = Uint8Array.of(0x78, 1);
const future = (policy: CompiledPolicy): Uint8Array =>
  Buffer.concat([encodeAuthorization(policy), FUTURE]);

function rig() {
  const workers = new PolicyIndex();
  const state = new MeshState({
    network: '',
    fanOut: ({ authorizations }: ResourceChange) => {
      workers.apply(authorizations.changed, authorizations.removed);
      return Promise.resolve([]);
    },
    onEnrolments: () => undefined,
  });
  const found = subscriptionsOf(state, () => undefined).find(
    ({ typeUrl }) => typeUrl === TYPE_URL.authorization,
  );
  assert.ok(found);
  const missing = (namespace: string, names: readonly string[] = []) =>
    workers.select({ namespace, names }).missing;
  const apply = async (name: string, value: Uint8Array): Promise<readonly string[]> =>
    (await found.apply({ changed: [{ name, version: '1', value }], foreign: [], removed: [] })).map(
      (rejection) => rejection.name,
    );
  const remove = async (name: string): Promise<void> => {
    await found.apply({ changed: [], foreign: [], removed: [name] });
  };
  return { subscription: found, state, workers, missing, apply, remove };
}

describe('a policy that can not be read', () => {
  const cases: readonly (readonly [string, string, Uint8Array, readonly string[]])[] = [
    ['with a field of the future', 'shop/p', future(deny), ['shop']],
    ['for the mesh', 'shop/p', future({ ...deny, scope: 'GLOBAL' }), ['shop', 'other']],
    ['with a selector', 'shop/p', future({ ...deny, scope: 'WORKLOAD_SELECTOR' }), []],
    ['that is no message', 'shop/p', Uint8Array.of(0xff), ['shop', 'other']],
    ['of another name', 'shop/q', encodeAuthorization(deny), ['shop', 'other']],
    ['of a name with no namespace', 'p', Uint8Array.of(0xff), ['shop', 'other']],
  ];
  for (const [what, name, value, refused] of cases) {
    it(`${what} is refused, and refuses where it may apply until it goes`, async () => {
      const { apply, remove, missing, state } = rig();
      assert.deepEqual(await apply(name, value), [name]);
      const wanted = (namespace: string): number => (refused.includes(namespace) ? 1 : 0);
      assert.equal(missing('shop').length, wanted('shop'));
      assert.equal(missing('other').length, wanted('other'));
      assert.equal(state.resources().authorizations.changed.length, 1);
      await remove(name);
      assert.deepEqual([...missing('shop'), ...missing('other')], []);
      assert.equal(state.policies.size, 0);
    });
  }

  it('of content of another type refuses everywhere', async () => {
    const { subscription, missing } = rig();
    const foreign = [{ name: 'shop/p', version: '1', value: new Uint8Array() }];
    assert.deepEqual(await subscription.apply({ changed: [], foreign, removed: [] }), []);
    assert.deepEqual(missing('other'), ['shop/p']);
  });

  it('gives way to what can be read, and to what can be read further', async () => {
    const { apply, missing, workers } = rig();
    await apply('shop/p', Uint8Array.of(0xff));
    assert.deepEqual(missing('other'), ['shop/p']);
    await apply('shop/p', future(deny));
    assert.deepEqual(missing('other'), [], 'narrower, now that its scope can be read');
    assert.deepEqual(missing('shop'), ['shop/p']);
    assert.deepEqual(await apply('shop/p', encodeAuthorization(deny)), []);
    assert.deepEqual(missing('shop'), []);
    assert.equal(workers.get('shop/p')?.isUnreadable, undefined);
  });

  // The older version stayed in force alone: where the newer one was wider, nobody refused.
  const selected = { ...deny, scope: 'WORKLOAD_SELECTOR' } as const;
  const broken = Buffer.concat([encodeAuthorization(selected), Uint8Array.of(0x2a, 2, 0x0a, 9)]);
  const newer: readonly (readonly [string, CompiledPolicy, Uint8Array, string])[] = [
    ['as wide', deny, future(deny), 'shop'],
    ['wider', selected, future(deny), 'shop named'],
    ['narrower', deny, future(selected), 'shop named'],
    ['named by workloads, as before', selected, future(selected), 'named'],
    ['of a scope of the future', selected, encodeScope(9), 'shop other named'],
    ['broken in a rule', selected, broken, 'named'],
    ['that is no message', selected, Uint8Array.of(0xff), 'shop other named'],
  ];
  for (const [what, before, value, refused] of newer) {
    it(`after one that could: refuses where either may apply (${what})`, async () => {
      const { apply, missing } = rig();
      const other = { ...deny, name: 'other', namespace: 'elsewhere' };
      assert.deepEqual(await apply('elsewhere/other', encodeAuthorization(other)), []);
      assert.deepEqual(await apply('shop/p', encodeAuthorization(before)), []);
      assert.deepEqual(await apply('shop/p', value), ['shop/p']);
      const at = [
        ...(missing('shop').length > 0 ? ['shop'] : []),
        ...(missing('other').length > 0 ? ['other'] : []),
        ...(missing('third', ['shop/p']).length > 0 ? ['named'] : []),
      ];
      for (const place of refused.split(' ')) assert.ok(at.includes(place), `${place}: ${at}`);
      if (!refused.includes('shop')) assert.deepEqual(missing('shop'), []);
      if (!refused.includes('other')) assert.deepEqual(missing('other'), []);
      assert.deepEqual(await apply('shop/p', encodeAuthorization(before)), []);
      assert.deepEqual(missing('shop', ['shop/p']), []);
      assert.deepEqual(missing('other', ['elsewhere/other']), []);
    });
  }
});

function encodeScope(scope: number): Uint8Array {
  return Uint8Array.of(10, 1, 0x70, 18, 4, ...Buffer.from('shop'), 24, scope);
}
