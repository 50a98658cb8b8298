/**
 * A connection after its last message: what it became (a WebSocket, a tunnel) gets every byte behind that message, in order.
 *
 * Between the switch and the new owner's `start` nothing is read, so what is held is bounded by what was held before.
 */
import type { MeshError } from '@ambit/core';
import type { ByteConn, ByteSink } from '@ambit/proxy';

export class HandedConn implements ByteConn {
  readonly #conn: ByteConn;
  #held: readonly Uint8Array[];
  #sink: ByteSink | undefined;
  #isPaused = false;
  #hasEnded: boolean;
  #closed: { readonly error: Error | undefined } | undefined;

  /** `rest`: what lies behind the message; `hasEnded`: the peer has ended its direction behind that. */
  constructor(conn: ByteConn, rest: readonly Uint8Array[], hasEnded: boolean) {
    this.#conn = conn;
    this.#held = rest;
    this.#hasEnded = hasEnded;
    conn.pause();
  }

  get remoteAddress(): string {
    return this.#conn.remoteAddress;
  }

  get remotePort(): number {
    return this.#conn.remotePort;
  }

  get localAddress(): string {
    return this.#conn.localAddress;
  }

  get localPort(): number {
    return this.#conn.localPort;
  }

  get pendingBytes(): number | undefined {
    return this.#conn.pendingBytes;
  }

  get heldBytes(): number | undefined {
    return this.#conn.heldBytes;
  }

  start(sink: ByteSink): void {
    if (this.#sink !== undefined) {
      throw new Error('start was called twice');
    }
    this.#sink = sink;
    queueMicrotask(() => this.#deliverHeld());
  }

  write(chunk: Uint8Array): boolean {
    return this.#conn.write(chunk);
  }

  end(): void {
    this.#conn.end();
  }

  pause(): void {
    this.#isPaused = true;
    this.#conn.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#sink !== undefined) {
      this.#deliverHeld();
    }
  }

  destroy(reason?: MeshError): void {
    this.#held = [];
    this.#conn.destroy(reason);
  }

  /** What the transport said to the owner before. */
  readonly events: ByteSink = {
    onData: (chunk) => {
      if (this.#sink === undefined || this.#held.length > 0) {
        this.#held = [...this.#held, chunk];
      } else {
        this.#sink.onData(chunk);
      }
    },
    onEnd: () => {
      this.#hasEnded = true;
      this.#deliverHeld();
    },
    onDrain: () => this.#sink?.onDrain(),
    onClose: (error) => {
      this.#closed = { error };
      this.#isPaused = false;
      this.#deliverHeld();
    },
  };

  #deliverHeld(): void {
    const sink = this.#sink;
    if (sink === undefined) {
      return;
    }
    while (this.#held.length > 0 && !this.#isPaused) {
      const [chunk, ...others] = this.#held;
      this.#held = others;
      if (chunk !== undefined) {
        sink.onData(chunk);
      }
    }
    if (this.#held.length > 0) {
      return;
    }
    if (this.#hasEnded) {
      this.#hasEnded = false;
      sink.onEnd();
    }
    if (this.#closed !== undefined) {
      const { error } = this.#closed;
      this.#closed = undefined;
      sink.onClose(error);
    } else if (!this.#isPaused) {
      this.#conn.resume();
    }
  }
}
