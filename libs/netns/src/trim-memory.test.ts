import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { trimMemory } from './trim-memory.ts';

describe('trimMemory', () => {
  it('gives back what was freed between things that stay', () => {
    const kept: Uint8Array[] = [];
    let freed: Uint8Array[] | undefined = [];
    for (let index = 0; index < 2_000; index += 1) {
      // Beneath the size that malloc asks the kernel for by itself.
      freed.push(new Uint8Array(64 * 1024).fill(1));
      kept.push(new Uint8Array(1_024).fill(1));
    }
    freed = undefined;
    globalThis.gc?.();
    const before = process.memoryUsage.rss();
    trimMemory();
    assert.ok(process.memoryUsage.rss() <= before);
    assert.equal(kept.length, 2_000);
  });
});
