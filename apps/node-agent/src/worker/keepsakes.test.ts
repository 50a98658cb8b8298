/** A keepsake leads to whatever the work had: keys, sessions, a pod. It goes when one of these does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { keepsake } from '@ambit/core';
import { FakeClock, isCollected } from '@ambit/core/testing';
import { HBONE_PORT } from '@ambit/hbone';
import { shakeHands, tlsOf } from '@ambit/testkit';

import type { ToWorker } from './messages.ts';
import { workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/client';
const SERVER = 'spiffe://cluster.local/ns/shop/sa/server';

function kept(): WeakRef<object> {
  const work = { of: 'a test' };
  keepsake('test', work);
  return new WeakRef(work);
}

const MINUTE_MS = 60_000;

async function rigWithPod(clock?: FakeClock): Promise<WorkerRig> {
  const rig = new WorkerRig(clock === undefined ? {} : { clock });
  rig.workloads(workload('client', { addresses: [rig.address(1)] }));
  rig.certify('client');
  await rig.addPod(1, 'client');
  return rig;
}

describe('what a worker keeps of its last work', () => {
  const cases: readonly (readonly [name: string, message: ToWorker, isGone: boolean])[] = [
    ['an identity left', { kind: 'certificate-forgotten', identity: IDENTITY }, true],
    [
      'a key has ended and there is no other',
      { kind: 'certificate-unavailable', identity: IDENTITY, reason: 'expired' },
      true,
    ],
    ['a pod is gone', { kind: 'pod-removed', uid: 'uid-client', mode: 'kill' }, true],
    ['a pod was released', { kind: 'pod-removed', uid: 'uid-client', mode: 'release' }, true],
    ['a pod is gone that never was', { kind: 'pod-removed', uid: 'uid-x', mode: 'kill' }, false],
    ['metrics are asked for', { kind: 'report', id: 1, what: 'metrics' }, false],
  ];
  for (const [name, message, isGone] of cases) {
    it(`is ${isGone ? 'let go' : 'kept'} when ${name}`, async () => {
      await using rig = await rigWithPod();
      const work = kept();
      rig.send(message);
      assert.equal(await isCollected(work), isGone);
    });
  }

  it('is let go when a key is replaced', async () => {
    await using rig = await rigWithPod();
    const work = kept();
    rig.certify('client');
    assert.equal(await isCollected(work), true);
  });

  // It was kept until the next key came, and with a controller that is away none does.
  it('is let go when a certificate ends, and kept until then', async () => {
    const clock = new FakeClock({ wallStartMs: Date.now() });
    await using rig = await rigWithPod(clock);
    rig.certify('client', { notAfterMs: clock.wallNow() + 30 * MINUTE_MS });
    const work = kept();
    await passed(clock, 29);
    assert.equal(await isCollected(work), false);
    await passed(clock, 1);
    assert.equal(await isCollected(work), true);
  });

  it('is let go at the end of a certificate that was replaced before, too', async () => {
    const clock = new FakeClock({ wallStartMs: Date.now() });
    await using rig = await rigWithPod(clock);
    rig.certify('client', { notAfterMs: clock.wallNow() + 10 * MINUTE_MS });
    rig.certify('client', { notAfterMs: clock.wallNow() + 90 * MINUTE_MS });
    // By a connection on a session that was made under the first.
    const work = kept();
    await passed(clock, 10);
    assert.equal(await isCollected(work), true);
  });
});

describe('the key that a pod shows to its callers', () => {
  it('is let go when it has ended and there is no other, though nobody comes any more', async () => {
    await using rig = new WorkerRig();
    await rig.clientAndServer();
    const material = new WeakRef(certified(rig));
    const at = { host: rig.address(2), port: HBONE_PORT };
    await shakeHands({ ...at, ...tlsOf(rig.ca.workload('shop', 'client')) });
    rig.send({ kind: 'certificate-unavailable', identity: SERVER, reason: 'expired' });
    assert.equal(await isCollected(material), true);
  });
});

/** Told to the worker and kept nowhere else. */
function certified(rig: WorkerRig): object {
  const material = rig.ca.workload('shop', 'server');
  rig.send({ kind: 'certificate', material });
  return material;
}

async function passed(clock: FakeClock, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute += 1) {
    clock.advance(MINUTE_MS);
    await new Promise(setImmediate);
  }
}
