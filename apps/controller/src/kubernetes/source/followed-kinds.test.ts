import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { customResourceDefinitions, unsupportedKinds } from '@ambit/api';

import { FOLLOWED_KINDS } from './followed-kinds.ts';

describe('FOLLOWED_KINDS', () => {
  it('has every kind of our CRDs, as it is named and in all of its versions', () => {
    for (const { spec } of customResourceDefinitions()) {
      const { group, names, versions } = spec;
      const followed = FOLLOWED_KINDS.find(
        (known) => known.group === group && known.kind === names.kind,
      );
      assert.equal(followed?.resource.resource, names.plural, names.kind);
      assert.deepEqual(
        [...(followed?.resource.versions ?? [])].sort(),
        versions.map(({ name }) => name).sort(),
        names.kind,
      );
      assert.equal(followed.isServed, !unsupportedKinds().includes(`${group}/${names.kind}`));
    }
  });

  it('gives every kind keys of its own, also the two that are called Gateway', () => {
    const prefixes = FOLLOWED_KINDS.map(({ keyPrefix }) => keyPrefix);
    assert.equal(new Set(prefixes).size, prefixes.length);
    assert.ok(prefixes.includes('Gateway') && prefixes.includes('Gateway.networking.istio.io'));
  });

  it('leaves alone what the model does not read', () => {
    const kinds = FOLLOWED_KINDS.map(({ kind }) => kind);
    for (const kind of ['ServiceAccount', 'Deployment', 'Secret']) {
      assert.equal(kinds.includes(kind), false, kind);
    }
  });
});
