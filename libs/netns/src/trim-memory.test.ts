import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimMemory } from './trim-memory.ts';

const PIECES = 2_000;
const PIECE_BYTES = 64 * 1024;

describe('trimMemory', () => {
  it('gives back what was freed between things that stay', { timeout: 60_000 }, async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const kept: Uint8Array[] = [];
    let freed: Uint8Array[] | undefined = [];
    for (let index = 0; index < PIECES; index += 1) {
      // Beneath the size that malloc asks the kernel for by itself.
      freed.push(new Uint8Array(PIECE_BYTES).fill(1));
      kept.push(new Uint8Array(1_024).fill(1));
    }
    const before = process.memoryUsage.rss();
    assert.equal(freed.length, PIECES);
    freed = undefined;
    // Another thread frees them, when it comes to it.
    while (process.memoryUsage.rss() > before - (PIECES * PIECE_BYTES) / 2) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
      trimMemory();
    }
    assert.equal(kept.length, PIECES);
  });
});
