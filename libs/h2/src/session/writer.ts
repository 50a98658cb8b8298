/**
 * Everything that leaves a session, gathered once per turn of the event loop.
 *
 * Rules: small frames (headers, acknowledgements, window updates) go before DATA. DATA is taken from streams in turns
 * of a quantum, so one that always has more does not starve the others. While the transport does not take more,
 * nothing is gathered; what the peer makes us answer meanwhile is bounded: from `backlogBytesMax` on nothing more is
 * read from it.
 */
import { type ByteConn, writeAll } from '@ambit/proxy';
import {
  FRAME_BYTES_MIN,
  FRAME_HEADER_BYTES,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_MAX,
} from '../frames/protocol.ts';
import { Output } from './output.ts';

/** What one gathering takes from streams: half a megabyte of full records. Less costs a tenth more CPU under load. */
const FLUSH_BYTES = 32 * (FRAME_BYTES_MIN - FRAME_HEADER_BYTES);
/** What one stream may send before the next one's turn: a frame that fills a record of TLS with its header. */
const QUANTUM_BYTES = FRAME_BYTES_MIN - FRAME_HEADER_BYTES;

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

export interface WriterOptions {
  readonly transport: ByteConn;
  readonly backlogBytesMax: number;
  readonly repliesMax: number;
  /** Some stream, or the transport, does not take what is there. */
  readonly onStall: () => void;
  readonly onReadPause: () => void;
  /** DATA was sent. */
  readonly onSent: (bytes: number, frames: number) => void;
  /** Runs what may call back into whoever uses the streams; must not throw. */
  readonly guard: (work: () => void) => void;
}

export class Writer {
  readonly out = new Output();
  readonly #options: WriterOptions;
  #window = WINDOW_BYTES_DEFAULT;
  /** Streams that may send, in turns. */
  #ready: Sender[] = [];
  /** Streams that may, but for the connection's window. */
  #waiting: Sender[] = [];
  /** Longer lists are looked through for streams that are over. */
  #listMax = LIST_MIN;
  #isFilling = false;
  #isScheduled = false;
  #isBlocked = false;
  #isReadPaused = false;
  #isClosed = false;
  #replies = 0;
  #flushes = 0;
  readonly #turn: () => void;

  constructor(options: WriterOptions) {
    this.#options = options;
    const flush = (): void => this.flush();
    this.#turn = () => {
      this.#isScheduled = false;
      options.guard(flush);
    };
  }

  /** The transport does not take more. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Streams that wait for their turn or for a window. */
  get queued(): number {
    return this.#ready.length + this.#waiting.length;
  }

  /** Counts up with everything that the transport took. */
  get progress(): number {
    return this.#flushes;
  }

  /** Something was written to `out`. */
  schedule(): void {
    if (this.#isBlocked) {
      this.#checkBacklog();
    } else if (!this.#isScheduled && !this.#isClosed) {
      this.#isScheduled = true;
      setImmediate(this.#turn);
    }
  }

  /** The same, of an answer that the peer asked for. False: too many are waiting. */
  scheduleReply(): boolean {
    this.#replies += 1;
    this.schedule();
    return this.#replies <= this.#options.repliesMax;
  }

  /** The stream has something to send. */
  enqueue(stream: Sender): void {
    if (stream.isQueued) {
      return;
    }
    if (!stream.canSend) {
      if (stream.isStarved) {
        this.#options.onStall();
      }
      return;
    }
    stream.isQueued = true;
    this.#ready.push(stream);
    if (this.#ready.length > this.#listMax) {
      this.#dropClosed();
    }
    this.schedule();
  }

  /** §6.9: of the connection. False: beyond 2^31-1. */
  openWindow(increment: number): boolean {
    this.#window += increment;
    if (this.#window > WINDOW_BYTES_MAX) {
      return false;
    }
    if (this.#window > 0 && this.#waiting.length > 0) {
      this.#ready.push(...this.#waiting);
      this.#waiting = [];
      this.schedule();
    }
    return true;
  }

  onDrain(): void {
    this.#isBlocked = false;
    this.flush();
    if (this.#isReadPaused && this.out.bytes < this.#options.backlogBytesMax) {
      this.#isReadPaused = false;
      this.#options.transport.resume();
    }
  }

  /** Gathers and writes now. */
  flush(): void {
    if (this.#isClosed || this.#isBlocked) {
      return;
    }
    this.#isFilling = true;
    const drained = this.#ready.length > 0 ? this.#fill() : undefined;
    this.#isFilling = false;
    if (this.out.bytes > 0) {
      this.#write();
    }
    if (drained !== undefined) {
      for (const stream of drained) {
        stream.drained();
      }
    }
    if (this.#ready.length > 0) {
      this.schedule();
    }
  }

  /** Writes what is left, whatever the transport says. Nothing is written afterwards. */
  close(): void {
    if (!this.#isClosed) {
      this.#isBlocked = false;
      if (this.out.bytes > 0) {
        this.#write();
      }
      this.stop();
    }
  }

  stop(): void {
    this.#isClosed = true;
    this.#ready = [];
    this.#waiting = [];
    this.out.take();
  }

  #write(): void {
    this.#replies = 0;
    this.#flushes += 1;
    if (!writeAll(this.#options.transport, this.out.take())) {
      this.#isBlocked = true;
      this.#options.onStall();
    }
  }

  /** Takes DATA from the streams in turns. Returns those that have room again. */
  #fill(): Sender[] | undefined {
    let drained: Sender[] | undefined;
    let left = FLUSH_BYTES;
    let frames = 0;
    const ready = this.#ready;
    let at = 0;
    for (; at < ready.length && left > 0; at += 1) {
      const stream = ready[at];
      if (stream === undefined || !this.#mayTake(stream)) {
        continue;
      }
      const quantum = Math.min(QUANTUM_BYTES, left, Math.max(0, this.#window));
      const sent = stream.fill(this.out, quantum);
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
    if (frames > 0) {
      this.#options.onSent(FLUSH_BYTES - left, frames);
    }
    return drained;
  }

  /** Puts aside who needs the connection's window while there is none; forgets who is over. */
  #mayTake(stream: Sender): boolean {
    if (!stream.canSend) {
      stream.isQueued = false;
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

  #checkBacklog(): void {
    if (!this.#isReadPaused && this.out.bytes >= this.#options.backlogBytesMax) {
      this.#isReadPaused = true;
      this.#options.transport.pause();
      this.#options.onReadPause();
    }
  }
}
