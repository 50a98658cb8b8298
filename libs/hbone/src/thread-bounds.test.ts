/** What a thread may hold, of what its heap may take. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { threadWindowGrowth } from '@ambit/h2';
import { threadHeld } from '@ambit/proxy';
import { boundThread, threadBoundMetrics } from './thread-bounds.ts';

const MIB = 2 ** 20;

describe('boundThread', () => {
  afterEach(() => {
    threadHeld.max = Number.POSITIVE_INFINITY;
    threadWindowGrowth.max = Number.POSITIVE_INFINITY;
  });

  for (const [old, young, held, windows] of [
    [380, 24, 202 * MIB, 101 * MIB],
    [48, 16, 32 * MIB, 16 * MIB],
    [4_096, 24, 2_060 * MIB, 1_030 * MIB],
  ] as const) {
    it(`gives half and a quarter of a heap of ${old} and ${young} MiB, and says so`, () => {
      boundThread({ maxOldGenerationSizeMb: old, maxYoungGenerationSizeMb: young });
      const { ambit_held_limit_bytes, ambit_window_growth_limit_bytes } = threadBoundMetrics();
      assert.deepEqual([ambit_held_limit_bytes, ambit_window_growth_limit_bytes], [held, windows]);
    });
  }
});
