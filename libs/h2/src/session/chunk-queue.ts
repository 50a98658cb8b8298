/**
 * Bytes in order, in chunks.
 *
 * Rule: with `coalesce`, what is held costs little more than its bytes: small chunks are copied together, because
 * each would otherwise keep the whole read that it was cut from.
 */

/** Chunks below are copied. */
const SMALL_BYTES = 2_048;
const BLOCK_BYTES_MAX = 16_384;

export class ChunkQueue {
  #chunks: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;
  /** Room behind the last chunk, if that is a block of ours. */
  #block: Uint8Array | undefined;
  #blockUsed = 0;

  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    this.#block = undefined;
    this.#chunks.push(chunk);
  }

  coalesce(chunk: Uint8Array): void {
    if (chunk.length >= SMALL_BYTES) {
      this.push(chunk);
      return;
    }
    this.#bytes += chunk.length;
    if (this.#block === undefined || this.#block.length - this.#blockUsed < chunk.length) {
      this.#startBlock();
    }
    const block = this.#block;
    if (block === undefined) {
      return;
    }
    block.set(chunk, this.#blockUsed);
    this.#blockUsed += chunk.length;
    this.#chunks[this.#chunks.length - 1] = block.subarray(0, this.#blockUsed);
  }

  /** The first chunk, whole. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks[this.#first];
    if (chunk !== undefined) {
      this.#advance(chunk.length);
    }
    return chunk;
  }

  /** The first chunk, or its first `max` bytes. */
  take(max: number): Uint8Array | undefined {
    const chunk = this.#chunks[this.#first];
    if (chunk === undefined || chunk.length <= max) {
      return this.shift();
    }
    this.#bytes -= max;
    this.#chunks[this.#first] = chunk.subarray(max);
    this.#forget();
    return chunk.subarray(0, max);
  }

  clear(): void {
    this.#chunks = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#block = undefined;
  }

  #advance(bytes: number): void {
    this.#bytes -= bytes;
    this.#first += 1;
    this.#forget();
    if (this.#first === this.#chunks.length) {
      this.#chunks.length = 0;
      this.#first = 0;
    } else if (this.#first >= 32 && this.#first * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
  }

  /** What was given away is not written to any more. */
  #forget(): void {
    if (this.#first >= this.#chunks.length - 1) {
      this.#block = undefined;
    }
  }

  /** A block grows with what is held, so that a few bytes take a few. */
  #startBlock(): void {
    const size = Math.min(BLOCK_BYTES_MAX, Math.max(SMALL_BYTES, this.#bytes));
    this.#block = new Uint8Array(size);
    this.#blockUsed = 0;
    this.#chunks.push(this.#block.subarray(0, 0));
  }
}
