/**
 * One stream as bytes both ways: a `ByteConn` whose peer is at the other end of the session (RFC 9113 §5).
 *
 * Rule: what was sent to us is delivered or held, never lost: a stream that ended in order is delivered to its end
 * even if the session is gone meanwhile. What was not read keeps the window closed.
 */
import type { MeshError } from '@ambit/core';
import type { ByteConn, ByteSink } from '@ambit/proxy';
import { ERROR, type ErrorNumber, FLAG, FRAME, WINDOW_BYTES_MAX } from '../frames/protocol.ts';
import type { DecodedFields } from '../hpack/decoder.ts';
import { measureFields } from '../hpack/encoder.ts';
import type { Fields, Malformed } from '../message.ts';
import { ChunkQueue } from './chunk-queue.ts';
import type { Output } from './output.ts';
import type { ReceiveWindow } from './receive-window.ts';

export interface StreamSink extends ByteSink {
  /** Between the last of the data and `onEnd`. */
  onTrailers?(fields: Fields): void;
}

/** What a stream needs of its session. */
export interface StreamHost {
  readonly transport: ByteConn;
  readonly sendBufferBytes: number;
  /** The stream has something that may be sent. */
  wantSend(stream: Stream): void;
  /** A header block, now. */
  sendFields(
    stream: Stream,
    fields: Fields,
    options: { readonly endStream: boolean; readonly neverIndexed?: readonly string[] | undefined },
  ): void;
  /** Gives back what the reader took; `window` has the number. `heldBytes` wait for the reader. */
  sendWindow(stream: Stream, window: ReceiveWindow, heldBytes: number): void;
  sendReset(stream: Stream, code: ErrorNumber): void;
  /** Both sides have ended. */
  onBothEnded(stream: Stream): void;
  addHeld(bytes: number): void;
  /** Runs what calls back into whoever reads the stream, where nobody else would catch what it throws. */
  guarded(work: () => void): void;
}

export interface StreamOptions {
  readonly id: number;
  readonly host: StreamHost;
  readonly sendWindow: number;
  readonly receiveWindow: ReceiveWindow;
}

interface Closed {
  readonly error: MeshError | undefined;
}

export abstract class Stream implements ByteConn {
  readonly id: number;
  protected readonly host: StreamHost;
  /** In the writer's list. */
  isQueued = false;
  /** See `Watch`: what was sent when it looked last, and how often nothing more was. */
  watchedBytes = -1;
  strikes = 0;
  readonly #out = new ChunkQueue();
  #sendWindow: number;
  #sentBytes = 0;
  #needsDrain = false;
  #endIsQueued = false;
  #trailersOut: Fields | undefined;
  #hasEnded = false;
  readonly #window: ReceiveWindow;
  #held: ChunkQueue | undefined;
  #sink: StreamSink | undefined;
  #isPaused = false;
  #isDelivering = false;
  #peerEnded = false;
  #trailers: Fields | undefined;
  #endDelivered = false;
  /** Content that is still to come by content-length; undefined: not announced. */
  #contentLeft: number | undefined;
  #closed: Closed | undefined;
  #closeDelivered = false;
  #whenClosed: ((error: MeshError | undefined) => void) | undefined;
  #resetCode: ErrorNumber | undefined;

  constructor(options: StreamOptions) {
    this.id = options.id;
    this.host = options.host;
    this.#sendWindow = options.sendWindow;
    this.#window = options.receiveWindow;
  }

  get remoteAddress(): string {
    return this.host.transport.remoteAddress;
  }

  get remotePort(): number {
    return this.host.transport.remotePort;
  }

  get localAddress(): string {
    return this.host.transport.localAddress;
  }

  get localPort(): number {
    return this.host.transport.localPort;
  }

  /** Over for the session. Data that came before may still be delivered. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** END_STREAM of the peer has come; what it sent may still be held. */
  get peerEnded(): boolean {
    return this.#peerEnded;
  }

  /** END_STREAM is on its way. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Bytes that are not sent yet. */
  get pendingBytes(): number {
    return this.#out.bytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** What the peer's RST_STREAM said; undefined: none came. */
  get resetCode(): ErrorNumber | undefined {
    return this.#resetCode;
  }

  /** The peer's, when its data has ended with some. */
  get trailers(): Fields | undefined {
    return this.#trailers;
  }

  /**
   * Calls `listener` once when the stream is over for the session, whoever reads it; at once if it is. There can be
   * one listener.
   */
  whenClosed(listener: (error: MeshError | undefined) => void): void {
    if (this.#whenClosed !== undefined) {
      throw new Error('whenClosed was called twice');
    }
    if (this.#closed === undefined) {
      this.#whenClosed = listener;
    } else {
      listener(this.#closed.error);
    }
  }

  start(sink: StreamSink): void {
    if (this.#sink !== undefined) {
      throw new Error('start was called twice');
    }
    this.#sink = sink;
    if (this.#held !== undefined || this.#peerEnded || this.#closed !== undefined) {
      queueMicrotask(() => this.host.guarded(() => this.#deliver()));
    }
  }

  write(chunk: Uint8Array): boolean {
    if (this.#endIsQueued || this.#closed !== undefined || chunk.length === 0) {
      return true;
    }
    if (this.#out.bytes === 0) {
      this.#out.push(chunk);
    } else {
      // Whoever writes byte by byte shall not make us hold an object for each.
      this.#out.coalesce(chunk);
    }
    if (!this.isQueued) {
      this.host.wantSend(this);
    }
    this.#needsDrain ||= this.#out.bytes >= this.host.sendBufferBytes;
    return !this.#needsDrain;
  }

  end(): void {
    if (!this.#endIsQueued && this.#closed === undefined) {
      this.#endIsQueued = true;
      this.host.wantSend(this);
    }
  }

  /** Ends with trailers. Throws H2Error H2_BAD_FIELD. Does nothing after `end` or when the stream is over. */
  sendTrailers(fields: Fields): void {
    if (!this.#endIsQueued && fields.length > 0) {
      measureFields(fields);
      this.#trailersOut = fields;
    }
    this.end();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#held !== undefined || this.#peerEnded) {
      this.#deliver();
    }
  }

  /** RST_STREAM with CANCEL, unless both sides have ended. */
  destroy(reason?: MeshError): void {
    this.reset(ERROR.CANCEL, reason);
  }

  /** RST_STREAM. `reason` is what our own sink is told. */
  reset(code: ErrorNumber, reason?: MeshError): void {
    if (this.#closed === undefined) {
      this.host.sendReset(this, code);
      this.#finish({ error: reason });
    } else if (this.#closeDelivered) {
      return;
    }
    this.#dropHeld();
    this.#endDelivered = true;
    queueMicrotask(() => this.host.guarded(() => this.#deliverClose()));
  }

  // What follows is for the session.

  /** Fields of a header block that belongs to this stream. */
  abstract receiveFields(decoded: DecodedFields, endStream: boolean): Malformed | undefined;

  /** §6.9.1. False: the peer exceeds the window. */
  takeWindow(flowBytes: number): boolean {
    return this.#window.take(flowBytes);
  }

  /** A piece of content. False: more than content-length (§8.1.1). */
  receiveData(piece: Uint8Array): boolean {
    if (this.#contentLeft !== undefined) {
      this.#contentLeft -= piece.length;
      if (this.#contentLeft < 0) {
        return false;
      }
    }
    const sink = this.#sink;
    if (sink === undefined || this.#isPaused || this.#isDelivering || this.#held !== undefined) {
      this.#held ??= new ChunkQueue();
      this.#held.coalesce(piece);
      this.host.addHeld(piece.length);
    } else {
      sink.onData(piece);
      this.giveBack(piece.length);
    }
    return true;
  }

  /** Bytes of the window that are done with. */
  giveBack(bytes: number): void {
    if (this.#closed === undefined && !this.#peerEnded && this.#window.release(bytes)) {
      this.host.sendWindow(this, this.#window, this.#held?.bytes ?? 0);
    }
  }

  /** END_STREAM. False: less than content-length. */
  receiveEnd(): boolean {
    if ((this.#contentLeft ?? 0) !== 0) {
      return false;
    }
    this.#peerEnded = true;
    if (this.#hasEnded) {
      this.host.onBothEnded(this);
    }
    this.#deliver();
    return true;
  }

  protected expectContent(length: number | undefined): void {
    this.#contentLeft = length;
  }

  protected receiveTrailers(fields: Fields): void {
    this.#trailers = fields;
  }

  /** §6.9.1. False: beyond 2^31-1. */
  openWindow(increment: number): boolean {
    this.#sendWindow += increment;
    if (this.#sendWindow > WINDOW_BYTES_MAX) {
      return false;
    }
    if (this.#out.bytes > 0 && this.#sendWindow > 0 && !this.isQueued) {
      this.host.wantSend(this);
    }
    return true;
  }

  /** Something to send, and nothing of the stream's own forbids it. */
  get canSend(): boolean {
    if (this.#closed !== undefined) {
      return false;
    }
    return this.#out.bytes > 0 ? this.#sendWindow > 0 : this.#endIsQueued && !this.#hasEnded;
  }

  get isStarved(): boolean {
    return this.#out.bytes > 0 && this.#sendWindow <= 0;
  }

  /** Writes at most one DATA frame; returns its payload's length. Ends the stream when that was the last. */
  fill(out: Output, bytesMax: number): number {
    const queue = this.#out;
    // §6.9.2: a window can be negative.
    const length = Math.max(0, Math.min(bytesMax, this.#sendWindow, queue.bytes));
    const isLast = this.#endIsQueued && !this.#hasEnded && length === queue.bytes;
    if (length > 0 || (isLast && this.#trailersOut === undefined)) {
      const ends = isLast && this.#trailersOut === undefined;
      out.frame(FRAME.DATA, ends ? FLAG.END_STREAM : 0, this.id, length);
      this.#sendWindow -= length;
      this.#sentBytes += length;
      for (let left = length; left > 0; ) {
        const chunk = queue.take(left);
        if (chunk === undefined) {
          break;
        }
        out.append(chunk);
        left -= chunk.length;
      }
    }
    if (isLast) {
      this.#sendEnd();
    }
    return length;
  }

  /** True: the writer should call `drained`. */
  get isDrained(): boolean {
    return this.#needsDrain && this.#out.bytes * 4 <= this.host.sendBufferBytes;
  }

  drained(): void {
    if (this.#needsDrain && this.#closed === undefined) {
      this.#needsDrain = false;
      this.#sink?.onDrain();
    }
  }

  /** END_STREAM was sent with the head. */
  endSent(): void {
    this.#endIsQueued = true;
    this.#markEnded();
  }

  /**
   * The stream is over. What came before in order is still delivered; if not all came (`error`), nothing is.
   * `code`: of a RST_STREAM.
   */
  close(error: MeshError | undefined, code?: ErrorNumber): void {
    if (this.#closed !== undefined) {
      return;
    }
    this.#resetCode = code;
    this.#finish({ error });
    if (!this.#peerEnded) {
      this.#dropHeld();
      this.#endDelivered = true;
    }
    this.#deliver();
  }

  #sendEnd(): void {
    const trailers = this.#trailersOut;
    if (trailers !== undefined) {
      this.host.sendFields(this, trailers, { endStream: true });
    }
    this.#markEnded();
  }

  #markEnded(): void {
    this.#hasEnded = true;
    if (this.#closed !== undefined) {
      return;
    }
    if (this.#peerEnded) {
      this.host.onBothEnded(this);
    } else {
      this.onEndSent();
    }
  }

  /** END_STREAM was sent, and the peer still sends. */
  protected onEndSent(): void {}

  #finish(closed: Closed): void {
    // What is still held counts for the session no more: whoever reads it keeps it, or nobody does.
    this.host.addHeld(-(this.#held?.bytes ?? 0));
    this.#closed = closed;
    this.#out.clear();
    this.#needsDrain = false;
    const listener = this.#whenClosed;
    this.#whenClosed = undefined;
    listener?.(closed.error);
    this.onOver(closed.error);
  }

  /** For what else waits for the stream. */
  protected onOver(_error: MeshError | undefined): void {}

  /** The stream is over, and so nothing of it is counted. */
  #dropHeld(): void {
    this.#held = undefined;
  }

  /** What is held, then the end, then the close, as far as they may go now. */
  #deliver(): void {
    const sink = this.#sink;
    if (sink === undefined || this.#isDelivering) {
      return;
    }
    this.#isDelivering = true;
    try {
      this.#deliverHeld(sink);
    } finally {
      this.#isDelivering = false;
    }
    const isRead = this.#held === undefined && !this.#isPaused;
    if (this.#peerEnded && !this.#endDelivered && isRead) {
      this.#endDelivered = true;
      if (this.#trailers !== undefined) {
        sink.onTrailers?.(this.#trailers);
      }
      sink.onEnd();
    }
    if (this.#endDelivered) {
      this.#deliverClose();
    }
  }

  #deliverHeld(sink: StreamSink): void {
    while (this.#held !== undefined && !this.#isPaused) {
      const chunk = this.#held.shift();
      if (this.#held.bytes === 0) {
        this.#held = undefined;
      }
      if (chunk !== undefined) {
        if (this.#closed === undefined) {
          this.host.addHeld(-chunk.length);
        }
        sink.onData(chunk);
        this.giveBack(chunk.length);
      }
    }
  }

  #deliverClose(): void {
    if (this.#sink !== undefined && this.#closed !== undefined && !this.#closeDelivered) {
      this.#closeDelivered = true;
      this.#sink.onClose(this.#closed.error);
    }
  }
}
