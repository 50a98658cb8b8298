/**
 * Everything that leaves a session, gathered while the transport is busy with what left before.
 *
 * Rules: what comes alone leaves at the end of the call that brought it; what comes while a write is under way leaves
 * together after it. A stream that nobody else waits beside writes its DATA at once; else DATA is taken from streams in
 * `Turns`. What the peer makes us answer while the transport does not take more is bounded: from `backlogBytesMax` on
 * nothing more is read from it.
 */
import { type ByteConn, writeBorrowed } from '@ambit/proxy';
import { Output } from './output.ts';
import { FLUSH_BYTES, type Sender, Turns, type TurnsOptions } from './turns.ts';

/** From here on whoever writes at once waits for the next write of the transport. */
const AT_ONCE_BYTES = FLUSH_BYTES / 2;

export interface WriterOptions extends TurnsOptions {
  readonly transport: ByteConn;
  readonly backlogBytesMax: number;
  readonly repliesMax: number;
  /** Some stream, or the transport, does not take what is there. */
  readonly onStall: () => void;
  readonly onReadPause: () => void;
  /** Runs what may call back into whoever uses the streams; must not throw. */
  readonly guard: (work: () => void) => void;
}

export class Writer {
  readonly out = new Output();
  readonly #options: WriterOptions;
  readonly #turns: Turns;
  /** Streams that wrote at once until that was enough. */
  #full: Sender[] = [];
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
    this.#turns = new Turns(options);
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
    return this.#turns.queued;
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
    return mayWait && !this.#isClosed
      ? Math.max(0, Math.min(this.#turns.openBytes, FLUSH_BYTES - this.out.bytes))
      : 0;
  }

  /** False: the stream should wait for its turn. */
  wrote(bytes: number, frames: number): boolean {
    this.#dataBytes += bytes;
    this.#turns.sent(bytes, frames);
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
    if (this.#turns.enqueue(stream)) {
      this.schedule();
    }
  }

  /** §6.9: of the connection. False: beyond 2^31-1. */
  openWindow(increment: number): boolean {
    const wasWanted = this.#turns.isWanted;
    const isWithin = this.#turns.openWindow(increment);
    if (isWithin && !wasWanted && this.#turns.isWanted) {
      this.schedule();
    }
    return isWithin;
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
    const drained = this.#turns.isWanted ? this.#gather() : undefined;
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
    if (this.#turns.isWanted) {
      this.schedule();
    }
  }

  #gather(): Sender[] | undefined {
    const turns = this.#turns;
    const before = turns.sentBytes;
    const drained = turns.fill(this.out);
    this.#dataBytes += turns.sentBytes - before;
    return drained;
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
    this.#turns.clear();
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

  #checkBacklog(): void {
    const backlog = this.out.bytes - this.#dataBytes;
    if (!this.#isReadPaused && backlog >= this.#options.backlogBytesMax) {
      this.#isReadPaused = true;
      this.#options.transport.pause();
      this.#options.onReadPause();
    }
  }
}
