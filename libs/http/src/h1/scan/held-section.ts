/**
 * The part of a section that has come so far, where it spans chunks, in memory that is used again: what is made for each head is
 * collected at once by a client that never ends one, and by nobody else.
 *
 * Rule: the memory is lent while there is something in it. Whoever holds it lets go of it with the connection; what is not let go of
 * is collected, and missed by nobody.
 */
import { type Slab, SlabPool } from '@ambit/proxy';

/** Nearly all heads; long ones; the longest that the default bounds let through. At most 1.5 MiB idle. */
const POOLS = [
  { bytes: 2 * 1024, idleMax: 64 },
  { bytes: 16 * 1024, idleMax: 32 },
  { bytes: 80 * 1024, idleMax: 8 },
].map(({ bytes, idleMax }) => ({ bytes, pool: new SlabPool({ slabBytes: bytes, idleMax }) }));

export class HeldSection {
  #memory: Buffer = NOTHING;
  #bytes = 0;
  /** What the memory is lent by; undefined: it is of a bound beyond the default, and not lent. */
  #slab: Slab | undefined;

  get memory(): Buffer {
    return this.#memory;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(source: Buffer, from: number, to: number): void {
    const bytes = this.#bytes + to - from;
    if (bytes > this.#memory.length) {
      this.#grow(bytes);
    }
    source.copy(this.#memory, this.#bytes, from, to);
    this.#bytes = bytes;
  }

  /** Empty again. Idempotent. */
  letGo(): void {
    this.#slab?.onWritten();
    this.#slab = undefined;
    this.#memory = NOTHING;
    this.#bytes = 0;
  }

  #grow(bytes: number): void {
    const slab = POOLS.find((pool) => pool.bytes >= bytes)?.pool.lend();
    const memory = slab?.memory ?? Buffer.allocUnsafeSlow(bytes * 2);
    this.#memory.copy(memory, 0, 0, this.#bytes);
    this.#slab?.onWritten();
    this.#slab = slab;
    this.#memory = memory;
  }
}

const NOTHING = Buffer.alloc(0);
