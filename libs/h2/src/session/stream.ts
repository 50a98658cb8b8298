/**
 * One stream as bytes both ways: a `ByteConn` whose peer is at the other end of the session (RFC 9113 §5). What comes is
 * `Delivery`, what leaves is `Outgoing`.
 *
 * Rule: it is over for the session at once, and for its reader when that has been told.
 */
import type { MeshError } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import { ERROR, type ErrorNumber } from '../frames/protocol.ts';
import type { DecodedFields } from '../hpack/decoder.ts';
import { measureFields } from '../hpack/encoder.ts';
import type { Fields, Malformed } from '../message.ts';
import { Delivery } from './delivery.ts';
import { Outgoing } from './outgoing.ts';
import type { Output } from './output.ts';
import type { StreamOptions } from './stream-host.ts';

export abstract class Stream extends Delivery implements ByteConn {
  readonly id: number;
  /** In the writer's list. */
  isQueued = false;
  /** See `Watch`: what was sent when it looked last, and how often nothing more was. */
  watchedBytes = -1;
  strikes = 0;
  readonly #outgoing: Outgoing;
  #whenClosed: ((error: MeshError | undefined) => void) | undefined;
  #resetCode: ErrorNumber | undefined;

  constructor(options: StreamOptions) {
    super(options.host, options.receiveWindow);
    this.id = options.id;
    this.#outgoing = new Outgoing({
      window: options.sendWindow,
      bufferBytes: options.host.sendBufferBytes,
    });
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

  /**
   * Calls `listener` once when the stream is over for the session, whoever reads it; at once if it is. There can be
   * one listener.
   */
  whenClosed(listener: (error: MeshError | undefined) => void): void {
    if (this.#whenClosed !== undefined) {
      throw new Error('whenClosed was called twice');
    }
    if (this.closed === undefined) {
      this.#whenClosed = listener;
    } else {
      listener(this.closed.error);
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
    if (outgoing.endIsQueued || this.isClosed || chunk.length === 0) {
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
    if (!this.#outgoing.endIsQueued && !this.isClosed) {
      this.#outgoing.queueEnd(trailers);
      this.host.wantSend(this);
    }
  }

  /** RST_STREAM with CANCEL, unless both sides have ended. */
  destroy(reason?: MeshError): void {
    this.reset(ERROR.CANCEL, reason);
  }

  /** RST_STREAM. `reason` is what our own sink is told. */
  reset(code: ErrorNumber, reason?: MeshError): void {
    if (!this.isClosed) {
      this.host.sendReset(this, code);
      this.#finish(reason);
    } else if (this.isCloseDelivered) {
      return;
    }
    this.forget();
    queueMicrotask(() => this.host.guarded(() => this.deliverClose()));
  }

  // What follows is for the session.

  /** Fields of a header block that belongs to this stream. */
  abstract receiveFields(decoded: DecodedFields, endStream: boolean): Malformed | undefined;

  /** END_STREAM. False: less than content-length. */
  receiveEnd(): boolean {
    if (!this.takeEnd()) {
      return false;
    }
    if (this.#outgoing.hasEnded) {
      this.host.onBothEnded(this);
    }
    this.deliver();
    return true;
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
    return !this.isClosed && this.#outgoing.canSend;
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
    if (!this.isClosed && this.#outgoing.takeDrain()) {
      this.sink?.onDrain();
    }
  }

  /** END_STREAM was sent. */
  endSent(): void {
    this.#outgoing.markEnded();
    if (this.isClosed) {
      return;
    }
    if (this.peerEnded) {
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
    if (this.isClosed) {
      return;
    }
    this.#resetCode = code;
    this.#finish(error);
    if (!this.peerEnded) {
      this.forget();
    }
    this.deliver();
  }

  #finish(error: MeshError | undefined): void {
    this.finish({ error });
    this.#outgoing.clear();
    const listener = this.#whenClosed;
    this.#whenClosed = undefined;
    listener?.(error);
    this.onOver(error);
  }

  protected override sendWindow(heldBytes: number): void {
    this.host.sendWindow(this, this.window, heldBytes);
  }

  protected onOver(_error: MeshError | undefined): void {}
}
