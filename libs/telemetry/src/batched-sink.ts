/**
 * Lines of a worker thread, written together after a while: each write of a worker is a message to the main thread.
 *
 * A line becomes bytes at once: text that waits would outlive a collection of new objects, and a busy worker's lines would make most of
 * what is copied there. Bounded: what the stream has not taken yet counts too, and beyond the bound lines are dropped, counted and said.
 */
import type { LogSink } from './log.ts';

/** Bytes that wait, here and in the stream; some seconds of a busy worker's lines. */
export const WAITING_BYTES_MAX = 4 * 1024 * 1024;
const BLOCK_BYTES = 32 * 1024;
/** Of a character of a string, in UTF-8. */
const CHARACTER_BYTES_MAX = 3;

/** What is used of a stream. */
export interface LineStream {
  readonly writableLength: number;
  write(bytes: Uint8Array): unknown;
}

export class BatchedSink implements LogSink {
  readonly #stream: LineStream;
  readonly #schedule: (flush: () => void) => void;
  /** Full blocks, before what is in `#block`. */
  #full: Uint8Array[] = [];
  #fullBytes = 0;
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #used = 0;
  #dropped = 0;
  #unsaid = 0;
  #isScheduled = false;

  /** `schedule`: when to flush after the first line; default at the end of the tick. */
  constructor(
    stream: LineStream,
    schedule: (flush: () => void) => void = (flush) => void setImmediate(flush),
  ) {
    this.#stream = stream;
    this.#schedule = schedule;
  }

  /** Lines that were never written. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    const waiting = this.#fullBytes + this.#used + this.#stream.writableLength;
    if (waiting + line.length > WAITING_BYTES_MAX) {
      this.#dropped += 1;
      this.#unsaid += 1;
    } else {
      this.#add(line);
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#schedule(() => this.flush());
    }
  }

  /** Now; before a thread ends. */
  flush(): void {
    this.#isScheduled = false;
    if (this.#unsaid > 0) {
      const count = this.#unsaid;
      this.#unsaid = 0;
      this.#add(`${JSON.stringify({ level: 'warn', message: 'log lines were dropped', count })}\n`);
    }
    this.#seal();
    const bytes = joined(this.#full, this.#fullBytes);
    this.#full = [];
    this.#fullBytes = 0;
    if (bytes.length > 0) {
      this.#stream.write(bytes);
    }
  }

  #add(line: string): void {
    const bytesMax = line.length * CHARACTER_BYTES_MAX;
    if (this.#used + bytesMax > BLOCK_BYTES) {
      this.#seal();
    }
    if (bytesMax > BLOCK_BYTES) {
      this.#keep(Buffer.from(line));
    } else {
      this.#used += this.#block.write(line, this.#used);
    }
  }

  #seal(): void {
    if (this.#used > 0) {
      this.#keep(new Uint8Array(this.#block.subarray(0, this.#used)));
      this.#used = 0;
    }
  }

  #keep(bytes: Uint8Array): void {
    this.#full.push(bytes);
    this.#fullBytes += bytes.length;
  }
}

/** In memory of its own: a message between threads copies all that lies behind a view. */
function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first?.buffer.byteLength === length) {
    return first;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
