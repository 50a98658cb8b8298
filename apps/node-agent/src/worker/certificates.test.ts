import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';

import { CertificateStore } from './certificates.ts';
import { flagOf } from './errors.ts';
import type { CertificateMaterial } from './messages.ts';
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

describe('the ends of certificates', () => {
  const OTHER = 'spiffe://cluster.local/ns/shop/sa/b';
  const HOUR_MS = 3_600_000;

  /** Counts what waits. */
  class CountingClock extends FakeClock {
    sleeping = 0;

    override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
      this.sleeping += 1;
      try {
        await super.sleep(ms, signal);
      } finally {
        this.sleeping -= 1;
      }
    }
  }

  function open({ onTold }: { readonly onTold?: (endMs: number) => void } = {}) {
    const clock = new CountingClock();
    const told: number[] = [];
    const errors: unknown[] = [];
    const beganMs = clock.wallNow();
    const store = new CertificateStore({
      clock,
      waitMs: 5_000,
      onEnded: () => {
        const endMs = clock.wallNow() - beganMs;
        told.push(endMs);
        onTold?.(endMs);
      },
      onError: (error) => errors.push(error),
    });
    const add = (endMs: number, identity = ID): void =>
      store.set(material(clock, { identity, notAfterMs: beganMs + endMs }));
    const pass = async (ms: number): Promise<void> => {
      clock.advance(ms);
      await new Promise(setImmediate);
    };
    return { clock, store, told, errors, add, pass };
  }

  it('are waited for by one timer, however many there are', async () => {
    const { clock, store, add, pass } = open();
    for (let at = 1; at <= 100; at += 1) add(1_000 * at, `${ID}${at % 10}`);
    for (let at = 1; at <= 100; at += 1) add(500 - at);
    await pass(0);
    assert.equal(clock.sleeping, 1);
    store.stop();
    await pass(0);
    assert.equal(clock.sleeping, 0);
    add(1);
    await pass(1);
    assert.equal(clock.sleeping, 0);
  });

  it('are told in the order in which they come, also those of replaced ones', async () => {
    const { told, store, add, pass } = open();
    add(3_000);
    add(1_000);
    add(2_000, OTHER);
    store.setUnavailable(OTHER, 'the CA is gone');
    add(10_000);
    for (let at = 0; at < 20; at += 1) await pass(500);
    assert.deepEqual(told, [1_000, 2_000, 3_000, 10_000]);
  });

  it('are looked at once an hour, however far off', async () => {
    const { told, add, pass } = open();
    add(1.5 * HOUR_MS);
    await pass(HOUR_MS - 1);
    await pass(1);
    assert.deepEqual(told, []);
    await pass(HOUR_MS / 2);
    assert.deepEqual(told, [1.5 * HOUR_MS]);
  });

  it('are told at once when they are over', () => {
    const { told, add } = open();
    add(0);
    assert.deepEqual(told, [0]);
  });

  it('are told on after one at which who is told throws, and the error is said', async () => {
    const error = new Error('not now');
    const { told, errors, add, pass } = open({
      onTold: (endMs) => {
        if (endMs < 2_000) throw error;
      },
    });
    add(0);
    add(1_000);
    add(2_000, OTHER);
    for (let at = 0; at < 3; at += 1) await pass(1_000);
    assert.deepEqual(told, [0, 1_000, 2_000]);
    assert.deepEqual(errors, [error, error]);
    add(4_000);
    await pass(1_000);
    assert.deepEqual(told, [0, 1_000, 2_000, 4_000]);
  });

  it('are not told of an identity that is forgotten', async () => {
    const { clock, told, store, add, pass } = open();
    add(1_000);
    add(2_000);
    add(3_000, OTHER);
    store.forget(ID);
    store.forget('spiffe://cluster.local/ns/shop/sa/never');
    for (let at = 0; at < 3; at += 1) await pass(1_000);
    assert.deepEqual(told, [3_000]);
    assert.equal(clock.sleeping, 0);
  });
});

describe('a worker that is told to forget an identity', () => {
  it('has no certificate of it any more', async () => {
    await using rig = new WorkerRig({ limits: { workloadWaitMs: 20 } });
    await rig.clientAndServer();
    const port = await rig.serve(2, (socket) => socket.end('never'));
    const identity = 'spiffe://cluster.local/ns/shop/sa/client';
    rig.send({ kind: 'certificate-forgotten', identity });
    const client = await rig.connect(1, { address: rig.address(2), port });
    assert.ok((await client.closed) instanceof Error);
    assert.equal(client.bytes, 0);
  });
});
