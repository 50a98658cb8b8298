/**
 * What was given to a decoder and is not read yet: chunks in order, never joined.
 *
 * Rule: it holds what it is given up to a bound. Whoever feeds it pauses the transport while something is held.
 */

/** However small they are, each holds memory of the transport. */
const CHUNKS_MAX = 256;

export class ByteQueue {
  readonly #bytesMax: number;
  readonly #waiting: Buffer[] = [];
  #current: Buffer = EMPTY;
  #at = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes held. */
  get size(): number {
    return this.#bytes;
  }

  /** The chunk to read, from `at` on. */
  get current(): Buffer {
    return this.#current;
  }

  get at(): number {
    return this.#at;
  }

  /** False, and nothing is taken, when the bound would be passed. */
  push(chunk: Uint8Array): boolean {
    if (this.#bytes + chunk.length > this.#bytesMax || this.#waiting.length === CHUNKS_MAX) {
      return false;
    }
    if (chunk.length === 0) {
      return true;
    }
    const buffer = asBuffer(chunk);
    if (this.#bytes === 0) {
      this.#current = buffer;
      this.#at = 0;
    } else {
      this.#waiting.push(buffer);
    }
    this.#bytes += chunk.length;
    return true;
  }

  /** `count` bytes of the current chunk were read. */
  skip(count: number): void {
    this.#at += count;
    this.#bytes -= count;
    if (this.#at >= this.#current.length) {
      this.#at = 0;
      this.#current = this.#waiting.shift() ?? EMPTY;
    }
  }

  /** Everything that is left, as it lies. */
  takeAll(): Uint8Array[] {
    const all = this.#bytes === 0 ? [] : [this.#current.subarray(this.#at), ...this.#waiting];
    this.clear();
    return all;
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#current = EMPTY;
    this.#at = 0;
    this.#bytes = 0;
  }
}

const EMPTY = Buffer.alloc(0);

function asBuffer(chunk: Uint8Array): Buffer {
  return chunk instanceof Buffer
    ? chunk
    : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
