/** A keepsake leads to whatever the work had: keys, sessions, a pod. It goes when one of these does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { keepsake } from '@ambit/core';
import { isCollected } from '@ambit/core/testing';

import type { ToWorker } from './messages.ts';
import { workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/client';

function kept(): WeakRef<object> {
  const work = { of: 'a test' };
  keepsake('test', work);
  return new WeakRef(work);
}

async function rigWithPod(): Promise<WorkerRig> {
  const rig = new WorkerRig();
  rig.workloads(workload('client', { addresses: [rig.address(1)] }));
  rig.certify('client');
  await rig.addPod(1, 'client');
  return rig;
}

describe('what a worker keeps of its last work', () => {
  const cases: readonly (readonly [name: string, message: ToWorker, isGone: boolean])[] = [
    ['an identity left', { kind: 'certificate-forgotten', identity: IDENTITY }, true],
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
});
