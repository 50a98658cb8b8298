import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';

import { ChunkQueue } from './chunk-queue.ts';

type Step =
  | { readonly kind: 'copy' | 'push' | 'coalesce'; readonly bytes: number }
  | { readonly kind: 'take'; readonly max: number }
  | { readonly kind: 'shift' };

const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom('copy' as const, 'push' as const, 'coalesce' as const),
      bytes: fc.oneof(fc.nat(3_000), fc.nat(90_000)),
    }),
    fc.record({ kind: fc.constant('take' as const), max: fc.integer({ min: 1, max: 50_000 }) }),
    fc.record({ kind: fc.constant('shift' as const) }),
  ),
  { maxLength: 40 },
);

/** A number of each place, so that a byte out of order is seen. */
function numbered(from: number, length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, at) => ((from + at) * 7919) >>> 3));
}

function run(queue: ChunkQueue, list: readonly Step[]): void {
  let written = 0;
  let read = 0;
  const check = (chunk: Uint8Array | undefined): void => {
    if (chunk !== undefined) {
      assert.ok(numbered(read, chunk.length).equals(chunk), `wrong bytes behind ${read}`);
      read += chunk.length;
    }
    queue.done();
  };
  for (const step of list) {
    if (step.kind === 'take') {
      check(queue.take(step.max));
    } else if (step.kind === 'shift') {
      check(queue.shift());
    } else if (step.bytes > 0) {
      const chunk = numbered(written, step.bytes);
      written += chunk.length;
      queue[step.kind](chunk);
      if (step.kind === 'copy') {
        chunk.fill(0);
      }
    }
    assert.equal(queue.bytes, written - read);
  }
  while (queue.bytes > 0) {
    check(queue.shift());
  }
  assert.equal(read, written);
}

describe('ChunkQueue', () => {
  it('gives back every byte in order, also from memory that is used again', () => {
    fc.assert(
      fc.property(steps, steps, (first, second) => {
        run(new ChunkQueue(), first);
        run(new ChunkQueue(), second);
      }),
      { numRuns: 150 },
    );
  });

  it('holds little more than its bytes where they trickle in and out', () => {
    const queue = new ChunkQueue();
    queue.copy(Buffer.alloc(49_152));
    const before = process.memoryUsage().arrayBuffers;
    for (let n = 0; n < 2_000; n += 1) {
      queue.copy(Buffer.alloc(1));
      queue.take(2);
      queue.done();
      queue.copy(Buffer.alloc(1));
    }
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < 4 * 1024 * 1024, `${grown} bytes for ${queue.bytes}`);
  });

  it('leaves memory that somebody may read when it is cleared', () => {
    const queue = new ChunkQueue();
    queue.copy(Buffer.alloc(60_000, 'a'));
    const taken = queue.shift();
    queue.clear();
    const other = new ChunkQueue();
    other.copy(Buffer.alloc(60_000, 'b'));
    assert.equal(
      taken?.every((byte) => byte === 0x61),
      true,
    );
  });
});
