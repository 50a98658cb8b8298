/**
 * Memory for bytes on their way out, used again and again: what is allocated for each write is what collecting garbage
 * costs most.
 *
 * Rule: a slab has one owner. It goes back when the write that it was lent for is done; after a failed one it does not,
 * because nobody says what still reads it, and is collected like anything else.
 */

export class Slab {
  readonly memory: Buffer;
  used = 0;
  /** For `Writable.write`: the bytes have left. */
  readonly onWritten: (error?: Error | null) => void;

  constructor(bytes: number, pool: SlabPool) {
    this.memory = Buffer.allocUnsafeSlow(bytes);
    this.onWritten = (error) => {
      if (error === undefined || error === null) {
        pool.giveBack(this);
      }
    };
  }

  get room(): number {
    return this.memory.length - this.used;
  }

  /** What was written to it. */
  get content(): Buffer {
    return this.memory.subarray(0, this.used);
  }

  /** Takes as much as there is room for; returns how much. */
  append(chunk: Uint8Array): number {
    const taken = Math.min(chunk.length, this.room);
    this.memory.set(taken === chunk.length ? chunk : chunk.subarray(0, taken), this.used);
    this.used += taken;
    return taken;
  }
}

/** All of the thread; they are made once and never go. */
const pools: SlabPool[] = [];

/** Leaves what no pool of the thread has lent to be collected. */
export function dropIdleSlabs(): void {
  for (const pool of pools) {
    pool.drop();
  }
}

export class SlabPool {
  readonly #slabBytes: number;
  readonly #idleMax: number;
  readonly #idle: Slab[] = [];
  /** Without memory, and never lent: so that there is one when all were dropped (`keepsake`). */
  readonly exemplar = new Slab(0, this);

  /** `idleMax`: so many are kept while nobody needs them. */
  constructor(options: { readonly slabBytes: number; readonly idleMax: number }) {
    this.#slabBytes = options.slabBytes;
    this.#idleMax = options.idleMax;
    pools.push(this);
  }

  get idle(): number {
    return this.#idle.length;
  }

  /** Empty, and the caller's until it gives it back or hands it to a write. */
  lend(): Slab {
    const slab = this.#idle.pop() ?? new Slab(this.#slabBytes, this);
    slab.used = 0;
    return slab;
  }

  drop(): void {
    this.#idle.length = 0;
  }

  /** Nobody reads or writes it any more. */
  giveBack(slab: Slab): void {
    if (slab.used === GIVEN_BACK) {
      throw new Error('a slab was given back twice');
    }
    slab.used = GIVEN_BACK;
    if (this.#idle.length < this.#idleMax) {
      this.#idle.push(slab);
    }
  }
}

const GIVEN_BACK = -1;
