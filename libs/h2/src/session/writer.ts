/**
 * Everything that leaves a session, gathered while the transport is busy with what left before.
 *
 * Rules: what comes alone leaves at the end of the call that brought it; what comes while a write is under way leaves
 * together after it. A stream that nobody else waits beside writes its DATA at once; else DATA is taken from streams in
 * turns of a quantum, so one that always has more does not starve the others. What the peer makes us answer while the
 * transport does not take more is bounded: from `backlogBytesMax` on nothing more is read from it.
 */
import { type ByteConn, writeBorrowed } from '@ambit/proxy';
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
export const QUANTUM_BYTES = FRAME_BYTES_MIN - FRAME_HEADER_BYTES;

/** From here on whoever writes at once waits for the next write of the transport. */
const AT_ONCE_BYTES = FLUSH_BYTES / 2;

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
  /** Streams that wrote at once until that was enough. */
  #full: Sender[] = [];
  /** Streams that may, but for the connection's window. */
  #waiting: Sender[] = [];
  /** Longer lists are looked through for streams that are over. */
  #listMax = LIST_MIN;
  #isFilling = false;
  #isScheduled = false;
  /** The transport does not take more, or is at it. */
  #isBlocked = false;
  #dataBytes = 0;
  /** Writes under way. */
  #untaken = 0;
  #isReadPaused = false;
  #isClosed = false;
  #replies = 0;
  #flushes = 0;
  readonly #turn: () => void;
  readonly #onTaken: () => void;

  constructor(options: WriterOptions) {
    this.#options = options;
    const flush = (): void => this.flush();
    this.#turn = () => {
      this.#isScheduled = false;
      options.guard(flush);
    };
    const onDrain = (): void => this.onDrain();
    this.#onTaken = () => options.guard(onDrain);
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
      this.#options.onStall();
      this.#checkBacklog();
    } else if (!this.#isScheduled && !this.#isClosed) {
      this.#isScheduled = true;
      if (this.#options.transport.writeBorrowed === undefined) {
        setImmediate(this.#turn);
      } else {
        // Sockets and tunnels gather for themselves while they are busy.
        process.nextTick(this.#turn);
      }
    }
  }

  /** How many bytes of DATA may be written to `out` now, as nobody waits for a turn; `wrote` has to follow. */
  get openBytes(): number {
    const mayWait = this.#options.transport.writeTracked !== undefined || !this.#isBlocked;
    const isFree = this.#ready.length === 0 && !this.#isFilling && !this.#isClosed;
    return isFree && mayWait
      ? Math.max(0, Math.min(this.#window, FLUSH_BYTES - this.out.bytes))
      : 0;
  }

  /** False: the stream should wait for its turn. */
  wrote(bytes: number, frames: number): boolean {
    this.#window -= bytes;
    this.#dataBytes += bytes;
    this.#options.onSent(bytes, frames);
    this.schedule();
    return this.out.bytes < AT_ONCE_BYTES;
  }

  /** Calls `drained` of the stream after the next write. */
  drainLater(stream: Sender): void {
    this.#full.push(stream);
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
    if (this.#untaken > 0) {
      // The transport has room, but still reads what it was given.
      return;
    }
    this.#isBlocked = false;
    this.flush();
    if (this.#isReadPaused && !this.#isClosed && this.out.bytes < this.#options.backlogBytesMax) {
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
    if (this.#full.length > 0) {
      const full = this.#full;
      this.#full = [];
      for (const stream of full) {
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
    this.#full = [];
    for (const slab of this.out.take()) {
      slab.onWritten();
    }
  }

  #write(): void {
    const { transport, onStall } = this.#options;
    this.#replies = 0;
    this.#flushes += 1;
    this.#dataBytes = 0;
    const slabs = this.out.take();
    if (transport.writeTracked === undefined) {
      for (const slab of slabs) {
        this.#isBlocked = !writeBorrowed(transport, slab.content);
        slab.onWritten();
      }
      if (this.#isBlocked) {
        onStall();
      }
      return;
    }
    this.#isBlocked = true;
    this.#untaken += slabs.length;
    for (const slab of slabs) {
      transport.writeTracked(slab.content, (error) => {
        slab.onWritten(error);
        this.#flushes += 1;
        this.#untaken -= 1;
        if (this.#untaken === 0) {
          this.#onTaken();
        }
      });
    }
  }

  /** Takes DATA from the streams in turns. Returns those that have room again. */
  #fill(): Sender[] | undefined {
    let drained: Sender[] | undefined;
    const before = Math.max(0, FLUSH_BYTES - this.out.bytes);
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
      this.#dataBytes += before - left;
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

  #checkBacklog(): void {
    const backlog = this.out.bytes - this.#dataBytes;
    if (!this.#isReadPaused && backlog >= this.#options.backlogBytesMax) {
      this.#isReadPaused = true;
      this.#options.transport.pause();
      this.#options.onReadPause();
    }
  }
}
