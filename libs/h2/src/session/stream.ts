/**
 * One stream as bytes both ways: a `ByteConn` whose peer is at the other end of the session (RFC 9113 §5).
 *
 * Rule: what was sent to us is delivered or held, never lost: a stream that ended in order is delivered to its end
 * even if the session is gone meanwhile. What was not read keeps the window closed.
 */
import type { MeshError } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import { ERROR, type ErrorNumber } from '../frames/protocol.ts';
import type { DecodedFields } from '../hpack/decoder.ts';
import { measureFields } from '../hpack/encoder.ts';
import type { Fields, Malformed } from '../message.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { Outgoing } from './outgoing.ts';
import type { Output } from './output.ts';
import type { ReceiveWindow } from './receive-window.ts';
import type { StreamHost, StreamOptions, StreamSink } from './stream-host.ts';

type Closed = { readonly error: MeshError | undefined };

export abstract class Stream implements ByteConn {
  readonly id: number;
  protected readonly host: StreamHost;
  /** In the writer's list. */
  isQueued = false;
  /** See `Watch`: what was sent when it looked last, and how often nothing more was. */
  watchedBytes = -1;
  strikes = 0;
  readonly #outgoing: Outgoing;
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
    this.#outgoing = new Outgoing({
      window: options.sendWindow,
      bufferBytes: options.host.sendBufferBytes,
    });
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
    return this.#outgoing.hasEnded;
  }

  /** Bytes that are not sent yet. */
  get pendingBytes(): number {
    return this.#outgoing.pendingBytes;
  }

  get sentBytes(): number {
    return this.#outgoing.sentBytes;
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
    return this.#send(chunk, false);
  }

  writeBorrowed(chunk: Uint8Array): boolean {
    return this.#send(chunk, true);
  }

  #send(chunk: Uint8Array, isBorrowed: boolean): boolean {
    const outgoing = this.#outgoing;
    if (outgoing.endIsQueued || this.#closed !== undefined || chunk.length === 0) {
      return true;
    }
    // A chunk of one's own waits for the end of the call, as the end of the stream often comes right behind it.
    const sent = isBorrowed ? this.host.sendAtOnce(this, outgoing, chunk) : 0;
    if (sent === chunk.length) {
      return !outgoing.isAskedToWait;
    }
    const takesMore = outgoing.push(sent === 0 ? chunk : chunk.subarray(sent), isBorrowed);
    if (!this.isQueued) {
      this.host.wantSend(this);
    }
    return takesMore;
  }

  end(): void {
    this.#queueEnd(undefined);
  }

  /** Ends with trailers. Throws H2Error H2_BAD_FIELD. Does nothing after `end` or when the stream is over. */
  sendTrailers(fields: Fields): void {
    measureFields(fields);
    this.#queueEnd(fields.length === 0 ? undefined : fields);
  }

  #queueEnd(trailers: Fields | undefined): void {
    if (!this.#outgoing.endIsQueued && this.#closed === undefined) {
      this.#outgoing.queueEnd(trailers);
      this.host.wantSend(this);
    }
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
    this.#held = undefined;
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
      this.#held.copy(piece);
      this.host.addHeld(piece.length);
    } else {
      sink.onData(sink.borrows === true ? piece : Buffer.from(piece));
      this.giveBack(piece.length);
    }
    return true;
  }

  /** Bytes of the window that are done with. */
  giveBack(bytes: number, heldBytes = this.#held?.bytes ?? 0): void {
    if (this.#closed === undefined && !this.#peerEnded && this.#window.release(bytes)) {
      this.host.sendWindow(this, this.#window, heldBytes);
    }
  }

  /** END_STREAM. False: less than content-length. */
  receiveEnd(): boolean {
    if ((this.#contentLeft ?? 0) !== 0) {
      return false;
    }
    this.#peerEnded = true;
    if (this.#outgoing.hasEnded) {
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
    if (!this.#outgoing.openWindow(increment)) {
      return false;
    }
    if (this.#outgoing.pendingBytes > 0 && !this.isQueued) {
      this.host.wantSend(this);
    }
    return true;
  }

  /** Something to send, and nothing of the stream's own forbids it. */
  get canSend(): boolean {
    return this.#closed === undefined && this.#outgoing.canSend;
  }

  get isStarved(): boolean {
    return this.#outgoing.isStarved;
  }

  /** Writes at most one DATA frame; returns its payload's length. Ends the stream when that was the last. */
  fill(out: Output, bytesMax: number): number {
    const outgoing = this.#outgoing;
    const length = outgoing.fill(out, this.id, bytesMax);
    if (outgoing.isAtEnd) {
      if (outgoing.trailers !== undefined) {
        this.host.sendFields(this, outgoing.trailers, { endStream: true });
      }
      this.endSent();
    }
    return length;
  }

  /** True: the writer should call `drained`. */
  get isDrained(): boolean {
    return this.#outgoing.isDrained;
  }

  drained(): void {
    if (this.#closed === undefined && this.#outgoing.takeDrain()) {
      this.#sink?.onDrain();
    }
  }

  /** END_STREAM was sent. */
  endSent(): void {
    this.#outgoing.markEnded();
    if (this.#closed !== undefined) {
      return;
    }
    if (this.#peerEnded) {
      this.host.onBothEnded(this);
    } else {
      this.onEndSent();
    }
  }

  /** It was sent, and the peer still sends. */
  protected onEndSent(): void {}

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
      this.#held = undefined;
      this.#endDelivered = true;
    }
    this.#deliver();
  }

  #finish(closed: Closed): void {
    // What is still held counts for the session no more: whoever reads it keeps it, or nobody does.
    this.host.addHeld(-(this.#held?.bytes ?? 0));
    this.host.closeWindow(this.#window);
    this.#closed = closed;
    this.#outgoing.clear();
    const listener = this.#whenClosed;
    this.#whenClosed = undefined;
    listener?.(closed.error);
    this.onOver(closed.error);
  }

  protected onOver(_error: MeshError | undefined): void {}

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
      const held = this.#held;
      const chunk = held.shift();
      if (held.bytes === 0) {
        this.#held = undefined;
      }
      if (chunk !== undefined) {
        if (this.#closed === undefined) {
          this.host.addHeld(-chunk.length);
        }
        sink.onData(sink.borrows === true ? chunk : Buffer.from(chunk));
        held.done();
        // It did wait for its reader, however much of it that takes at once.
        this.giveBack(chunk.length, held.bytes + chunk.length);
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
