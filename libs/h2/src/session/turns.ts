/**
 * Streams that have DATA to send, in turns of a quantum, and the connection's window that they share (RFC 9113 §6.9).
 *
 * Rule: one that always has more does not starve the others; who needs the connection's window while there is none waits apart, and
 * who is over is forgotten.
 */
import {
  FRAME_BYTES_MIN,
  FRAME_HEADER_BYTES,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_MAX,
} from '../frames/protocol.ts';
import type { Output } from './output.ts';

/** What one gathering takes from streams: half a megabyte of full records. Less costs a tenth more CPU under load. */
export const FLUSH_BYTES = 32 * (FRAME_BYTES_MIN - FRAME_HEADER_BYTES);
/** What one stream may send before the next one's turn: a frame that fills a record of TLS with its header. */
export const QUANTUM_BYTES = FRAME_BYTES_MIN - FRAME_HEADER_BYTES;

/** Lists of streams up to this length are never looked through. */
const LIST_MIN = 256;

/** What the writer sees of a stream. */
export interface Sender {
  /** In the writer's lists. */
  isQueued: boolean;
  readonly isClosed: boolean;
  /** Something to send, and nothing of the stream's own forbids it. */
  readonly canSend: boolean;
  /** Something to send, and no window of the stream's own. */
  readonly isStarved: boolean;
  readonly pendingBytes: number;
  /** Writes at most one DATA frame; returns its payload's length. */
  fill(out: Output, bytesMax: number): number;
  /** `drained` should be called. */
  readonly isDrained: boolean;
  drained(): void;
}

export interface TurnsOptions {
  /** Some stream does not get a window. */
  readonly onStall: () => void;
  /** DATA was sent. */
  readonly onSent: (bytes: number, frames: number) => void;
}

export class Turns {
  readonly #options: TurnsOptions;
  #window = WINDOW_BYTES_DEFAULT;
  /** Streams that may send, in turns. */
  #ready: Sender[] = [];
  /** Streams that may, but for the connection's window. */
  #waiting: Sender[] = [];
  /** Longer lists are looked through for streams that are over. */
  #listMax = LIST_MIN;
  #isFilling = false;
  #sentBytes = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Streams that wait for their turn or for a window. */
  get queued(): number {
    return this.#ready.length + this.#waiting.length;
  }

  /** Streams wait for their turn. */
  get isWanted(): boolean {
    return this.#ready.length > 0;
  }

  /** DATA of all streams, ever. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** How much a stream may send past all turns, as nobody waits for one; `sent` has to follow. */
  get openBytes(): number {
    return this.#ready.length === 0 && !this.#isFilling ? Math.max(0, this.#window) : 0;
  }

  sent(bytes: number, frames: number): void {
    this.#window -= bytes;
    this.#sentBytes += bytes;
    this.#options.onSent(bytes, frames);
  }

  /** False: it waits already, or has nothing that may be sent. */
  enqueue(stream: Sender): boolean {
    if (stream.isQueued) {
      return false;
    }
    if (!stream.canSend) {
      if (stream.isStarved) {
        this.#options.onStall();
      }
      return false;
    }
    stream.isQueued = true;
    this.#ready.push(stream);
    if (this.#ready.length > this.#listMax) {
      this.#dropClosed();
    }
    return true;
  }

  /** §6.9.1. False: beyond 2^31-1. */
  openWindow(increment: number): boolean {
    this.#window += increment;
    if (this.#window > WINDOW_BYTES_MAX) {
      return false;
    }
    if (this.#window > 0 && this.#waiting.length > 0) {
      this.#ready.push(...this.#waiting);
      this.#waiting = [];
    }
    return true;
  }

  clear(): void {
    this.#ready = [];
    this.#waiting = [];
  }

  /** Takes DATA from the streams in turns. Returns those that have room again. */
  fill(out: Output): Sender[] | undefined {
    let drained: Sender[] | undefined;
    this.#isFilling = true;
    const before = Math.max(0, FLUSH_BYTES - out.bytes);
    let left = before;
    let frames = 0;
    const ready = this.#ready;
    let at = 0;
    for (; at < ready.length && left > 0; at += 1) {
      const stream = ready[at];
      if (stream === undefined || !this.#mayTake(stream)) {
        continue;
      }
      const quantum = Math.min(QUANTUM_BYTES, left, Math.max(0, this.#window));
      const sent = stream.fill(out, quantum);
      this.#window -= sent;
      left -= sent;
      frames += 1;
      stream.isQueued = false;
      if (stream.isDrained) {
        drained ??= [];
        drained.push(stream);
      }
      if (stream.canSend) {
        stream.isQueued = true;
        ready.push(stream);
      } else if (stream.isStarved) {
        this.#options.onStall();
      }
    }
    this.#ready = at >= ready.length ? [] : ready.slice(at);
    this.#isFilling = false;
    if (frames > 0) {
      this.#sentBytes += before - left;
      this.#options.onSent(before - left, frames);
    }
    return drained;
  }

  /** Puts aside who needs the connection's window while there is none; forgets who is over. */
  #mayTake(stream: Sender): boolean {
    if (!stream.canSend) {
      stream.isQueued = false;
      if (stream.isStarved) {
        this.#options.onStall();
      }
      return false;
    }
    if (this.#window <= 0 && stream.pendingBytes > 0) {
      this.#waiting.push(stream);
      if (this.#waiting.length > this.#listMax) {
        this.#dropClosed();
      }
      this.#options.onStall();
      return false;
    }
    return true;
  }

  /**
   * Streams that end while they wait are found when their turn comes, which may be never: a peer that opens no
   * window and resets what it asks for would fill the lists.
   */
  #dropClosed(): void {
    const isOpen = (stream: Sender): boolean => !stream.isClosed;
    this.#waiting = this.#waiting.filter(isOpen);
    if (!this.#isFilling) {
      this.#ready = this.#ready.filter(isOpen);
    }
    this.#listMax = Math.max(LIST_MIN, 2 * this.queued);
  }
}
