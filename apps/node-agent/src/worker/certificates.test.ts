import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';

import { CertificateStore } from './certificates.ts';
import { flagOf } from './errors.ts';
import type { CertificateMaterial } from './messages.ts';
import { workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

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

  it('keeps neither the key of an identity that is forgotten nor who waits for it', async () => {
    const clock = new FakeClock();
    const store = new CertificateStore({ clock, waitMs: 5_000 });
    store.set(material(clock));
    store.forget(ID);
    assert.equal(store.size, 0);
    assert.throws(() => store.require(ID), refusal(/not been issued/));
    const waits = store.ready(ID);
    store.forget(ID);
    await assert.rejects(waits, refusal(/not been issued/));
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

describe('a worker that is told to forget an identity', () => {
  it('has no certificate of it any more', async () => {
    await using rig = new WorkerRig({ limits: { workloadWaitMs: 20 } });
    rig.workloads(
      workload('client', { addresses: [rig.address(1)] }),
      workload('server', { addresses: [rig.address(2)] }),
    );
    rig.certify('client');
    rig.certify('server');
    await Promise.all([rig.addPod(1, 'client'), rig.addPod(2, 'server')]);
    const port = await rig.serve(2, (socket) => socket.end('never'));
    const identity = 'spiffe://cluster.local/ns/shop/sa/client';
    rig.send({ kind: 'certificate-forgotten', identity });
    const client = await rig.connect(1, { address: rig.address(2), port });
    assert.ok((await client.closed) instanceof Error);
    assert.equal(client.bytes, 0);
  });
});
