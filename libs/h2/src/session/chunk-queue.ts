/**
 * Bytes in order, in chunks.
 *
 * Rule: what `coalesce` holds costs little more than its bytes: small chunks are copied together, because each
 * would otherwise keep the whole read that it was cut from. Many borrowed bytes are copied into memory that is used
 * again: what `shift` and `take` give is valid until `done`.
 */
import { type Slab, SlabPool } from '@ambit/proxy';

/** Chunks below are copied. */
const SMALL_BYTES = 2_048;
/** Where they are copied to: blocks that double while one fills after the other. */
const BLOCK_BYTES_MIN = 512;
const BLOCK_BYTES_MAX = 16_384;

/** Borrowed chunks of so much are copied into slabs: into small ones at first, so that little that waits holds little. */
const SLAB_CHUNK_BYTES = 8 * 1024;
const LARGE_FROM_BYTES = 48 * 1024;
/** Of the thread: at most 5 MiB while nobody waits. */
const smallSlabs = new SlabPool({ slabBytes: 16 * 1024, idleMax: 64 });
const largeSlabs = new SlabPool({ slabBytes: 64 * 1024, idleMax: 64 });

export class ChunkQueue {
  #chunks: Uint8Array[] = [];
  /** The memory of chunks that are in slabs, in order. */
  readonly #slabs: Slab[] = [];
  /** What was taken last was in it. */
  #spent: Slab | undefined;
  #first = 0;
  /** Of the first chunk, what was taken. */
  #offset = 0;
  #bytes = 0;
  /** The last chunk, if it is a block of ours with room behind it. */
  #block: Uint8Array | undefined;
  #blockUsed = 0;
  #blockBytes = BLOCK_BYTES_MIN;

  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    this.#block = undefined;
    this.#chunks.push(chunk);
  }

  /** Keeps nothing of the chunk itself. */
  copy(chunk: Uint8Array): void {
    const room = this.#lastSlab()?.room ?? 0;
    if (chunk.length >= SLAB_CHUNK_BYTES || chunk.length <= room) {
      this.#copyIntoSlabs(chunk);
    } else {
      this.coalesce(chunk.length < SMALL_BYTES ? chunk : Buffer.from(chunk));
    }
  }

  /** Nobody reads what was given last any more. */
  done(): void {
    this.#spent?.onWritten();
    this.#spent = undefined;
  }

  coalesce(chunk: Uint8Array): void {
    if (chunk.length >= SMALL_BYTES) {
      this.#blockBytes = BLOCK_BYTES_MIN;
      this.push(chunk);
      return;
    }
    const block = this.#blockFor(chunk.length);
    block.set(chunk, this.#blockUsed);
    this.#blockUsed += chunk.length;
    this.#bytes += chunk.length;
    this.#chunks[this.#chunks.length - 1] = block.subarray(0, this.#blockUsed);
  }

  /** The first chunk, or what is left of it. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks[this.#first];
    if (chunk === undefined) {
      return undefined;
    }
    const rest = this.#offset === 0 ? chunk : chunk.subarray(this.#offset);
    this.#bytes -= rest.length;
    this.#advance(chunk);
    return rest;
  }

  /** The same, `max` bytes at the most. */
  take(max: number): Uint8Array | undefined {
    const chunk = this.#chunks[this.#first];
    if (chunk === undefined || chunk.length - this.#offset <= max) {
      return this.shift();
    }
    const from = this.#offset;
    this.#offset += max;
    this.#bytes -= max;
    return chunk.subarray(from, this.#offset);
  }

  clear(): void {
    this.#chunks = [];
    // Somebody may be reading: their memory is left to be collected.
    this.#slabs.length = 0;
    this.#spent = undefined;
    this.#first = 0;
    this.#offset = 0;
    this.#bytes = 0;
    this.#block = undefined;
  }

  #copyIntoSlabs(chunk: Uint8Array): void {
    let left = chunk;
    while (left.length > 0) {
      let slab = this.#lastSlab();
      if (slab === undefined) {
        slab = (this.#bytes < LARGE_FROM_BYTES ? smallSlabs : largeSlabs).lend();
        this.push(slab.content);
        this.#slabs.push(slab);
      }
      const taken = slab.append(left);
      left = left.subarray(taken);
      this.#bytes += taken;
      this.#chunks[this.#chunks.length - 1] = slab.content;
    }
  }

  /** The slab of the last chunk, if it has one with room. */
  #lastSlab(): Slab | undefined {
    const slab = this.#slabs.at(-1);
    const isLast = slab !== undefined && this.#chunks.at(-1)?.buffer === slab.memory.buffer;
    return isLast && slab.room > 0 ? slab : undefined;
  }

  #advance(chunk: Uint8Array): void {
    const slab = this.#slabs[0];
    if (slab !== undefined && slab.memory.buffer === chunk.buffer) {
      this.done();
      this.#spent = slab;
      this.#slabs.shift();
    }
    this.#first += 1;
    this.#offset = 0;
    if (this.#first === this.#chunks.length) {
      this.#chunks.length = 0;
      this.#first = 0;
      this.#block = undefined;
    } else if (this.#first >= 32 && this.#first * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
  }

  #blockFor(bytes: number): Uint8Array {
    if (this.#block !== undefined && this.#block.length - this.#blockUsed >= bytes) {
      return this.#block;
    }
    const size = Math.max(this.#blockBytes, bytes);
    this.#blockBytes = Math.min(BLOCK_BYTES_MAX, size * 2);
    this.#block = new Uint8Array(size);
    this.#blockUsed = 0;
    this.#chunks.push(this.#block.subarray(0, 0));
    return this.#block;
  }
}
