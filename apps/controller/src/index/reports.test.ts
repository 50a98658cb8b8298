import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import type { MeshBatch } from '@ambit/model';
import { silentLogger } from '@ambit/telemetry';

import { AGAIN_MS_MAX, Reports } from './reports.ts';

const A = 'Kubernetes//Pod/shop/a';
const B = 'Kubernetes//Pod/shop/b';

/** A store that cannot take what names one of `odd`. */
function bed() {
  const odd = new Set<string>();
  const taken: MeshBatch[] = [];
  const clock = new FakeClock();
  const reports = new Reports({
    store: {
      apply: (batch) => {
        const text = JSON.stringify(batch);
        if ([...odd].some((name) => text.includes(`"${name}"`))) throw new Error('is odd');
        taken.push(batch);
      },
    },
    clock,
    log: silentLogger(),
  });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let n = 0; n < 10; n += 1) await Promise.resolve();
  };
  /** The shortest wait, and the longest. */
  const again = async (): Promise<void> => {
    await pass(AGAIN_MS_MAX);
    await pass(AGAIN_MS_MAX);
  };
  return { odd, taken, reports, again, pass };
}

describe('Reports', () => {
  it('takes what can be taken, and the rest when it can, without a throw', async () => {
    const { odd, taken, reports, again } = bed();
    odd.add(A);
    reports.take({ captured: { add: [A, B], remove: [] } });
    assert.deepEqual(taken, [{ captured: { add: [B], remove: [], presumed: [], awaited: [] } }]);
    assert.deepEqual([reports.waiting, reports.failures], [1, 1]);
    await again();
    assert.equal(taken.length, 1, 'not yet');
    odd.clear();
    await again();
    assert.deepEqual(taken[1]?.captured?.add, [A]);
    assert.equal(reports.waiting, 0);
    reports.stop();
  });

  it('tries again soon after something has changed, and not all the time', async () => {
    const { odd, taken, reports, pass } = bed();
    odd.add(A);
    reports.take({ captured: { add: [A], remove: [] } });
    // Until the waits are as long as they get; each attempt has two.
    for (let n = 0; n < 40; n += 1) await pass(AGAIN_MS_MAX * 2);
    const { failures } = reports;
    await pass(2_000);
    odd.clear();
    await pass(2_000);
    assert.deepEqual([taken.length, reports.failures], [0, failures], 'nothing has changed');
    reports.noteChange();
    await pass(0);
    assert.deepEqual([taken.length, reports.waiting], [1, 0]);
    odd.add(B);
    reports.take({ captured: { add: [B], remove: [] } });
    const before = reports.failures;
    for (let n = 0; n < 10; n += 1) {
      reports.noteChange();
      await pass(100);
    }
    assert.ok(reports.failures - before <= 1, 'at most once a second');
    reports.stop();
  });

  it('says the last word on a pod, and of a namespace whose bypass is over', async () => {
    const { odd, taken, reports, again } = bed();
    odd.add(A).add('shop');
    reports.take({ captured: { add: [A], remove: [], presumed: [A] } });
    reports.take({ captured: { add: [], remove: [A] } });
    reports.take({ bypassed: { add: [], remove: ['shop'] } });
    assert.deepEqual([taken.length, reports.waiting], [0, 2]);
    odd.clear();
    await again();
    assert.deepEqual(taken, [
      {
        bypassed: { add: [], remove: ['shop'] },
        captured: { add: [], remove: [A], presumed: [], awaited: [] },
      },
    ]);
    reports.stop();
  });

  it('keeps what is presumed and awaited as it is said', () => {
    const { taken, reports } = bed();
    reports.take({ captured: { add: [A], remove: [], presumed: [A], awaited: [B] } });
    reports.take({ captured: { add: [], remove: [] } });
    assert.deepEqual(taken, [{ captured: { add: [A], remove: [], presumed: [A], awaited: [B] } }]);
    reports.stop();
  });
});
