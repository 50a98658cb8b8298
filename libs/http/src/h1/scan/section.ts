/**
 * A head or a trailer section out of chunks: scanned where it lies, copied only when it spans chunks.
 *
 * Rule: what it says depends on the bytes alone, never on how they were cut. So each bound is a position, and a byte
 * beyond it is refused without being looked at. A byte is scanned once.
 */
import type { H1ErrorCode } from '../errors.ts';
import type { ByteQueue } from './byte-queue.ts';
import type { FieldLinesScanner } from './field-lines.ts';
import { HeldSection } from './held-section.ts';
import type { PartScanner, Refuse } from './scanner.ts';

export interface SectionOptions {
  readonly refuse: Refuse;
  /** Absent: a trailer section. */
  readonly first?: PartScanner;
  readonly firstBytesMax: number;
  readonly firstTooLarge: H1ErrorCode;
  readonly fields: FieldLinesScanner;
  readonly fieldBytesMax: number;
  readonly fieldsTooLarge: H1ErrorCode;
}

export class Section {
  readonly #options: SectionOptions;
  #at = 0;
  #limit = 0;
  #isFirst = false;
  /** Of a section that spans chunks. */
  #held: HeldSection | undefined;
  #text = '';

  constructor(options: SectionOptions) {
    this.#options = options;
  }

  get hasBegun(): boolean {
    return this.#at > 0;
  }

  /** The section of which `read` said that it is whole, once; offsets of the scanners count in it. */
  takeText(): string {
    const text = this.#text;
    // An idle connection keeps no head.
    this.#text = '';
    return text;
  }

  /** Takes what belongs to the section. True: it is whole, and the next call begins another. Throws. */
  read(queue: ByteQueue): boolean {
    while (queue.size > 0) {
      const held = this.#held;
      if (held === undefined ? this.#readInPlace(queue) : this.#readHeld(queue, held)) {
        this.#at = 0;
        this.letGo();
        return true;
      }
    }
    return false;
  }

  /** Gives up what is held; where a section has begun nothing is read after that. */
  letGo(): void {
    this.#held?.letGo();
    this.#held = undefined;
  }

  #readInPlace(queue: ByteQueue): boolean {
    const { current, at } = queue;
    if (this.#at === 0) {
      this.#begin();
    }
    const isWhole = this.#scan(current, at, current.length);
    if (isWhole) {
      this.#text = current.toString('latin1', at, at + this.#at);
      queue.skip(this.#at);
    } else {
      this.#held = new HeldSection();
      this.#held.add(current, at, current.length);
      queue.skip(current.length - at);
    }
    return isWhole;
  }

  #readHeld(queue: ByteQueue, held: HeldSection): boolean {
    const { current, at } = queue;
    const before = held.bytes;
    // One byte more than may be, so that the scan meets the bound.
    const room = this.#options.firstBytesMax + this.#options.fieldBytesMax + 1 - before;
    const taken = Math.min(current.length - at, room);
    held.add(current, at, at + taken);
    if (!this.#scan(held.memory, 0, held.bytes)) {
      queue.skip(taken);
      return false;
    }
    this.#text = held.memory.toString('latin1', 0, this.#at);
    queue.skip(this.#at - before);
    return true;
  }

  #scan(bytes: Uint8Array, base: number, to: number): boolean {
    const { first, fields } = this.#options;
    let at = base + this.#at;
    for (;;) {
      const limit = base + this.#limit;
      const stop = Math.min(limit, to);
      if (at >= stop) {
        this.#at = at - base;
        if (at < to) {
          throw this.#overflow();
        }
        return false;
      }
      if (!this.#isFirst || first === undefined) {
        at = fields.step(bytes, base, at, stop);
        if (fields.isDone) {
          this.#at = at - base;
          return true;
        }
      } else {
        at = first.step(bytes, base, at, stop);
        if (first.isDone) {
          this.#isFirst = false;
          this.#limit = at - base + this.#options.fieldBytesMax;
        }
      }
    }
  }

  #overflow(): Error {
    const { refuse, firstTooLarge, fieldsTooLarge } = this.#options;
    return refuse(this.#isFirst ? firstTooLarge : fieldsTooLarge);
  }

  #begin(): void {
    const { first, firstBytesMax, fields, fieldBytesMax } = this.#options;
    first?.reset();
    fields.reset();
    this.#isFirst = first !== undefined;
    this.#limit = this.#isFirst ? firstBytesMax : fieldBytesMax;
  }
}
