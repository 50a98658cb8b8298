/**
 * Lines of a worker thread, written together once a tick: each write of a worker is a message to the main thread.
 *
 * Bounded: what the stream has not taken yet counts too, and beyond the bound lines are dropped, counted and said.
 */
import type { LogSink } from './log.ts';

/** Characters that wait, here and in the stream; some seconds of a busy worker's lines. */
export const WAITING_CHARS_MAX = 4 * 1024 * 1024;

/** What is used of a stream. */
export interface LineStream {
  readonly writableLength: number;
  write(text: string): unknown;
}

export class BatchedSink implements LogSink {
  readonly #stream: LineStream;
  readonly #schedule: (flush: () => void) => void;
  #lines: string[] = [];
  #chars = 0;
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
    if (this.#chars + line.length + this.#stream.writableLength > WAITING_CHARS_MAX) {
      this.#dropped += 1;
      this.#unsaid += 1;
    } else {
      this.#lines.push(line);
      this.#chars += line.length;
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#schedule(() => this.flush());
    }
  }

  /** Now; before a thread ends. */
  flush(): void {
    this.#isScheduled = false;
    const lines = this.#lines;
    if (this.#unsaid > 0) {
      const count = this.#unsaid;
      lines.push(
        `${JSON.stringify({ level: 'warn', message: 'log lines were dropped', count })}\n`,
      );
      this.#unsaid = 0;
    }
    if (lines.length > 0) {
      this.#lines = [];
      this.#chars = 0;
      this.#stream.write(lines.join(''));
    }
  }
}
