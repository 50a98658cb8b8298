/**
 * What a stream has to send: its bytes, then its end, then perhaps trailers (RFC 9113 §6.1, §6.9, §8.1).
 *
 * Rule: nothing follows what was queued as the end, and DATA is never more than the window allows.
 */
import { FLAG, FRAME, WINDOW_BYTES_MAX } from '../frames/protocol.ts';
import type { Fields } from '../message.ts';
import { ChunkQueue } from './chunk-queue.ts';
import type { Output } from './output.ts';

export class Outgoing {
  /** Made by the first chunk that has to wait: most tunnels never have one. */
  #queue: ChunkQueue | undefined;
  readonly #bufferBytes: number;
  #window: number;
  #sentBytes = 0;
  #needsDrain = false;
  #endIsQueued = false;
  #trailers: Fields | undefined;
  #hasEnded = false;

  /** `bufferBytes`: from there on writers are told to wait. */
  constructor(options: { readonly window: number; readonly bufferBytes: number }) {
    this.#window = options.window;
    this.#bufferBytes = options.bufferBytes;
  }

  get pendingBytes(): number {
    return this.#queue === undefined ? 0 : this.#queue.bytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  get endIsQueued(): boolean {
    return this.#endIsQueued;
  }

  /** END_STREAM was written. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Something to send, and the window does not forbid it. */
  get canSend(): boolean {
    return this.pendingBytes > 0 ? this.#window > 0 : this.isAtEnd;
  }

  get isStarved(): boolean {
    return this.pendingBytes > 0 && this.#window <= 0;
  }

  /** Nothing but the end is left to be sent. */
  get isAtEnd(): boolean {
    return this.#endIsQueued && !this.#hasEnded && this.pendingBytes === 0;
  }

  /** Fields that have to end the stream. */
  get trailers(): Fields | undefined {
    return this.#trailers;
  }

  /** A writer waits, and there is room again. */
  get isDrained(): boolean {
    return this.#needsDrain && this.pendingBytes * 4 <= this.#bufferBytes;
  }

  /** How much may be sent past the queue: nothing while something is in it. */
  get openBytes(): number {
    return this.pendingBytes === 0 ? Math.max(0, this.#window) : 0;
  }

  /** The whole chunk, in frames of `frameBytes`; returns how many. */
  sendAtOnce(
    out: Output,
    chunk: Uint8Array,
    options: { readonly streamId: number; readonly frameBytes: number },
  ): number {
    const { streamId, frameBytes } = options;
    let frames = 0;
    for (let at = 0; at < chunk.length; at += frameBytes) {
      const piece = chunk.length <= frameBytes ? chunk : chunk.subarray(at, at + frameBytes);
      out.frame(FRAME.DATA, 0, streamId, piece.length);
      out.append(piece);
      frames += 1;
    }
    this.#window -= chunk.length;
    this.#sentBytes += chunk.length;
    return frames;
  }

  /** Whoever writes was told to wait. */
  get isAskedToWait(): boolean {
    return this.#needsDrain;
  }

  /** Whoever writes is told to wait, for others than its own bytes. False: it waits already. */
  askToWait(): boolean {
    const isNew = !this.#needsDrain;
    this.#needsDrain = true;
    return isNew;
  }

  /** False: wait until `isDrained`. */
  push(chunk: Uint8Array, isBorrowed: boolean): boolean {
    this.#queue ??= new ChunkQueue();
    const queue = this.#queue;
    if (isBorrowed) {
      queue.copy(chunk);
    } else if (queue.bytes === 0) {
      queue.push(chunk);
    } else {
      // Whoever writes byte by byte shall not make us hold an object for each.
      queue.coalesce(chunk);
    }
    this.#needsDrain ||= queue.bytes >= this.#bufferBytes;
    return !this.#needsDrain;
  }

  queueEnd(trailers?: Fields): void {
    this.#endIsQueued = true;
    this.#trailers = trailers;
  }

  /** END_STREAM was written, by whatever frame. */
  markEnded(): void {
    this.#endIsQueued = true;
    this.#hasEnded = true;
  }

  /** True once: somebody waits for room. */
  takeDrain(): boolean {
    const needsDrain = this.#needsDrain;
    this.#needsDrain = false;
    return needsDrain;
  }

  /** §6.9.1. False: beyond 2^31-1. */
  openWindow(increment: number): boolean {
    this.#window += increment;
    return this.#window <= WINDOW_BYTES_MAX;
  }

  /** Writes at most one DATA frame, with END_STREAM if it is the last and no trailers follow. Returns its length. */
  fill(out: Output, streamId: number, bytesMax: number): number {
    const queue = this.#queue;
    // §6.9.2: a window can be negative.
    const length = Math.max(0, Math.min(bytesMax, this.#window, this.pendingBytes));
    const isLast =
      this.#endIsQueued && length === this.pendingBytes && this.#trailers === undefined;
    if (length === 0 && !isLast) {
      return 0;
    }
    out.frame(FRAME.DATA, isLast ? FLAG.END_STREAM : 0, streamId, length);
    this.#window -= length;
    this.#sentBytes += length;
    for (let left = length; left > 0; ) {
      const chunk = queue?.take(left);
      if (chunk === undefined) {
        break;
      }
      out.append(chunk);
      queue?.done();
      left -= chunk.length;
    }
    return length;
  }

  clear(): void {
    this.#queue = undefined;
    this.#needsDrain = false;
  }
}
