/**
 * Copies what is written to a socket while others write to it too, so that it leaves with few calls.
 *
 * Rule: what comes alone leaves at once; what comes in quick succession, or while the stream still holds something, leaves
 * together at the end of the turn of the event loop. The memory is the pool's: it is lent for as long as the socket reads it and never longer, and memory of
 * a write that failed is not used again, because nobody says what still reads it.
 */
import type { Writable } from 'node:stream';

import { type Slab, SlabPool } from './slab-pool.ts';

/** What may wait before a writer is told to. */
const WAITING_BYTES_MAX = 512 * 1024;
/** Two writes within so long are of one burst. */
const BURST_MS = 1;
/** Copies of so little cost less than a slab. */
const COPIED_BYTES_MAX = 2_048;
/** Of the thread: 4 MiB at the most while nobody writes. */
const SLAB_BYTES = 64 * 1024;
const slabs = new SlabPool({ slabBytes: SLAB_BYTES, idleMax: 64 });

export class Outbox {
  readonly #stream: Writable;
  /** What waits to be written; undefined: nothing. */
  #slabs: Slab[] | undefined;
  #waiting = 0;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #isScheduled = false;
  /** Writes of ours that the stream is at. */
  #underWay = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  static #onTurn(outbox: Outbox): void {
    outbox.#isScheduled = false;
    // While the peer takes nothing, bytes that trickle in fill one slab and not one each.
    if (outbox.#underWay === 0 || outbox.#waiting >= SLAB_BYTES) {
      outbox.flush();
    }
  }

  /** Not given to the stream yet. */
  get waitingBytes(): number {
    return this.#waiting;
  }

  /** The chunk may change after the call. False: wait for the stream's `drain`. */
  write(chunk: Uint8Array): boolean {
    const now = performance.now();
    // Whatever the stream still holds, it takes nothing more at once: bytes would each wait as a write of their own.
    const isBurst =
      this.#waiting + this.#underWay + this.#stream.writableLength > 0 ||
      now - this.#writtenAt < BURST_MS;
    this.#writtenAt = now;
    if (!isBurst && chunk.length <= COPIED_BYTES_MAX) {
      return this.#stream.write(Buffer.from(chunk));
    }
    this.#keep(chunk);
    if (!isBurst) {
      this.flush();
      return this.#stream.writableLength < WAITING_BYTES_MAX;
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(Outbox.#onTurn, this);
    }
    // The stream says `drain` from its own, lower mark on, so no wait is missed.
    return this.#waiting + this.#stream.writableLength < WAITING_BYTES_MAX;
  }

  /** Writes what waits now. */
  flush(): void {
    const waiting = this.#slabs;
    if (waiting === undefined) {
      return;
    }
    this.#slabs = undefined;
    this.#waiting = 0;
    this.#underWay += waiting.length;
    this.#stream.cork();
    for (const slab of waiting) {
      this.#stream.write(slab.content, (error) => {
        slab.onWritten(error);
        this.#underWay -= 1;
        if (this.#underWay === 0 && !this.#stream.destroyed) {
          this.flush();
        }
      });
    }
    this.#stream.uncork();
  }

  #keep(chunk: Uint8Array): void {
    this.#waiting += chunk.length;
    this.#slabs ??= [];
    const waiting = this.#slabs;
    let left = chunk;
    while (left.length > 0) {
      let slab = waiting.at(-1);
      if (slab === undefined || slab.room === 0) {
        slab = slabs.lend();
        waiting.push(slab);
      }
      left = left.subarray(slab.append(left));
    }
  }
}
