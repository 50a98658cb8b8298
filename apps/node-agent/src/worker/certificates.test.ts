import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';

import { CertificateStore } from './certificates.ts';
import { flagOf } from './errors.ts';
import type { CertificateMaterial } from './messages.ts';

const ID = 'spiffe://cluster.local/ns/shop/sa/a';

function material(
  clock: FakeClock,
  changes: Partial<CertificateMaterial> = {},
): CertificateMaterial {
  return {
    identity: ID,
    privateKeyPem: 'key',
    chainPem: 'chain',
    rootsPem: 'roots',
    notAfterMs: clock.wallNow() + 60_000,
    ...changes,
  };
}

const refusal = (text: RegExp) => (error: unknown) =>
  error instanceof MeshError && flagOf(error) === 'IDENTITY_ERROR' && text.test(error.message);

describe('CertificateStore', () => {
  it('gives what was told until it expires, then refuses', () => {
    const clock = new FakeClock();
    const store = new CertificateStore({ clock, waitMs: 5_000 });
    store.set(material(clock));
    assert.equal(store.require(ID).chainPem, 'chain');
    clock.advance(59_999);
    assert.equal(store.require(ID).chainPem, 'chain');
    clock.advance(1);
    assert.throws(() => store.require(ID), refusal(/expired/));
  });

  it('refuses at once what is unavailable, and serves again when told', async () => {
    const clock = new FakeClock();
    const store = new CertificateStore({ clock, waitMs: 5_000 });
    store.set(material(clock));
    store.setUnavailable(ID, 'the CA is gone');
    await assert.rejects(store.ready(ID), refusal(/the CA is gone/));
    store.set(material(clock, { chainPem: 'new' }));
    assert.equal((await store.ready(ID)).chainPem, 'new');
  });

  it('waits for the first word, for all who ask, and not for ever', async () => {
    const clock = new FakeClock();
    const store = new CertificateStore({ clock, waitMs: 5_000 });
    const both = [store.ready(ID), store.ready(ID)];
    store.set(material(clock));
    for (const one of await Promise.all(both)) {
      assert.equal(one.identity, ID);
    }
    const other = store.ready('spiffe://cluster.local/ns/shop/sa/b');
    clock.advance(5_000);
    await assert.rejects(other, refusal(/not been issued/));
  });
});
