/**
 * A watch answer: one JSON text a line, in chunks that end anywhere.
 */
import { BoundedBytes, type TakenBytes } from './bounded-bytes.ts';

const NEWLINE = 0x0a;

export interface WatchDecoderOptions {
  /** Of one line; a longer one is handed out cut. */
  readonly lineBytesMax: number;
  readonly onLine: (line: TakenBytes) => void;
}

export class WatchDecoder {
  readonly #onLine: (line: TakenBytes) => void;
  readonly #line: BoundedBytes;

  constructor({ lineBytesMax, onLine }: WatchDecoderOptions) {
    this.#line = new BoundedBytes(lineBytesMax);
    this.#onLine = onLine;
  }

  /** Hands out every line that ends in this chunk; empty ones are left out. What `onLine` throws goes through. */
  write(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      this.#line.append(chunk.subarray(from, end));
      from = end + 1;
      if (!this.#line.isEmpty) {
        this.#onLine(this.#line.take());
      }
    }
    this.#line.append(chunk.subarray(from));
  }
}
