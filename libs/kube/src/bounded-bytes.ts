/**
 * Bytes of one object, gathered over chunks, up to a limit. Beyond it only the beginning is kept.
 */
export class BoundedBytes {
  readonly #bytesMax: number;
  #chunks: Buffer[] = [];
  #kept = 0;
  #total = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get isEmpty(): boolean {
    return this.#total === 0;
  }

  append(chunk: Buffer): void {
    this.#total += chunk.length;
    const room = this.#bytesMax - this.#kept;
    if (room > 0 && chunk.length > 0) {
      const kept = chunk.length > room ? chunk.subarray(0, room) : chunk;
      this.#chunks.push(kept);
      this.#kept += kept.length;
    }
  }

  /** What was gathered; empty afterwards. */
  take(): TakenBytes {
    const [first] = this.#chunks;
    const bytes =
      this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    const taken = { bytes, length: this.#total, isComplete: this.#kept === this.#total };
    this.#chunks = [];
    this.#kept = 0;
    this.#total = 0;
    return taken;
  }
}

export interface TakenBytes {
  /** The whole, or its beginning if it was longer than allowed. */
  readonly bytes: Buffer;
  readonly length: number;
  readonly isComplete: boolean;
}
