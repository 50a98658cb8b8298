/**
 * The part of a section that has come so far, where it spans chunks, in memory that is used again: a head that is refused at its
 * bound would else take some 240 KB of buffers, each larger than the one before.
 *
 * Rule: the memory is lent while there is something in it. Whoever holds it lets go of it with the connection; what is not let go of
 * is collected, and missed by nobody.
 */
import { type Slab, SlabPool } from '@ambit/proxy';

/** Up to the longest head that the default bounds let through, so close to each other that little is lent in vain. At most 1.5 MiB idle. */
const POOLS = [
  { bytes: 2 * 1024, idleMax: 64 },
  { bytes: 4 * 1024, idleMax: 32 },
  { bytes: 8 * 1024, idleMax: 16 },
  { bytes: 16 * 1024, idleMax: 16 },
  { bytes: 32 * 1024, idleMax: 8 },
  { bytes: 80 * 1024, idleMax: 8 },
].map(({ bytes, idleMax }) => ({ bytes, pool: new SlabPool({ slabBytes: bytes, idleMax }) }));

export class HeldSection {
  #memory: Buffer = NOTHING;
  #bytes = 0;
  /** What lends the memory; undefined: nothing is held, or more than the default bounds let through, which nobody lends. */
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
