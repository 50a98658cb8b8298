/**
 * What comes on a stream, and its way to whoever reads it: content, trailers, the end, the close.
 *
 * Rule: what was sent to us is delivered or held, never lost: a stream that ended in order is delivered to its end
 * even if the session is gone meanwhile. What was not read keeps the window closed.
 */
import type { MeshError } from '@ambit/core';
import type { Fields } from '../message.ts';
import { ChunkQueue } from './chunk-queue.ts';
import type { ReceiveWindow } from './receive-window.ts';
import type { StreamHost, StreamSink } from './stream-host.ts';

type Closed = { readonly error: MeshError | undefined };

/** Nobody reads what is left of a stream that is over, and nobody says so: its window counts until it is collected with it. */
const unread = new FinalizationRegistry<{
  readonly host: StreamHost;
  readonly window: ReceiveWindow;
}>(({ host, window }) => host.closeWindow(window, 0));

export abstract class Delivery {
  protected readonly host: StreamHost;
  protected readonly window: ReceiveWindow;
  #sink: StreamSink | undefined;
  #held: ChunkQueue | undefined;
  #isPaused = false;
  #isDelivering = false;
  #peerEnded = false;
  #trailers: Fields | undefined;
  #endDelivered = false;
  /** Content that is still to come by content-length; undefined: not announced. */
  #contentLeft: number | undefined;
  #closed: Closed | undefined;
  #closeDelivered = false;

  constructor(host: StreamHost, window: ReceiveWindow) {
    this.host = host;
    this.window = window;
  }

  /** Over for the session. Data that came before may still be delivered. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** END_STREAM of the peer has come; what it sent may still be held. */
  get peerEnded(): boolean {
    return this.#peerEnded;
  }

  /** The peer's, when its data has ended with some. */
  get trailers(): Fields | undefined {
    return this.#trailers;
  }

  protected get sink(): StreamSink | undefined {
    return this.#sink;
  }

  /** Why it is over; undefined: it is open. */
  protected get closed(): Closed | undefined {
    return this.#closed;
  }

  protected get isCloseDelivered(): boolean {
    return this.#closeDelivered;
  }

  start(sink: StreamSink): void {
    if (this.#sink !== undefined) {
      throw new Error('start was called twice');
    }
    this.#sink = sink;
    if (this.#held !== undefined || this.#peerEnded || this.#closed !== undefined) {
      queueMicrotask(() => this.host.guarded(() => this.deliver()));
    }
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#held !== undefined || this.#peerEnded) {
      this.deliver();
    }
  }

  // What follows is for the session.

  /** §6.9.1. False: the peer exceeds the window. */
  takeWindow(flowBytes: number): boolean {
    return this.window.take(flowBytes);
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
    if (this.#closed === undefined && !this.#peerEnded && this.window.release(bytes)) {
      this.sendWindow(heldBytes);
    }
  }

  /** Gives back what was read; `heldBytes` wait for the reader. */
  protected abstract sendWindow(heldBytes: number): void;

  /** END_STREAM. False: less than content-length. What is there is not delivered yet. */
  protected takeEnd(): boolean {
    if ((this.#contentLeft ?? 0) !== 0) {
      return false;
    }
    this.#peerEnded = true;
    this.host.closeWindow(this.window, this.#held?.bytes ?? 0);
    return true;
  }

  protected expectContent(length: number | undefined): void {
    this.#contentLeft = length;
  }

  protected receiveTrailers(fields: Fields): void {
    this.#trailers = fields;
  }

  /** Over for the session. What is held counts for it no more: whoever reads it keeps it, or nobody does. */
  protected finish(closed: Closed): void {
    const { host, window } = this;
    const heldBytes = this.#held?.bytes ?? 0;
    host.addHeld(-heldBytes);
    host.closeWindow(window, heldBytes);
    this.#closed = closed;
    if (window.countedBytes > 0) {
      unread.register(this, { host, window });
    }
  }

  /** Nothing that came before is delivered any more, nor its end. */
  protected forget(): void {
    this.#held = undefined;
    this.host.closeWindow(this.window, 0);
    this.#endDelivered = true;
  }

  /** What is held, then the end, then the close, as far as they may go now. */
  protected deliver(): void {
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
    if (this.#peerEnded || this.#closed !== undefined) {
      this.host.closeWindow(this.window, this.#held?.bytes ?? 0);
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
      this.deliverClose();
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

  protected deliverClose(): void {
    if (this.#sink !== undefined && this.#closed !== undefined && !this.#closeDelivered) {
      this.#closeDelivered = true;
      this.#sink.onClose(this.#closed.error);
    }
  }
}
