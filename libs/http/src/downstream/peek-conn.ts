/**
 * A connection whose first bytes were looked at and are delivered again.
 *
 * Between the look and the new owner's `start` nothing is read, so what is held is bounded by one read.
 */
import type { MeshError } from '@ambit/core';
import { type ByteConn, type ByteSink, writeAll, writeBorrowed } from '@ambit/proxy';

export class PeekConn implements ByteConn {
  readonly #conn: ByteConn;
  #held: Uint8Array[] = [];
  #sink: ByteSink | undefined;
  #onPeek: ((bytes: Uint8Array, over: boolean) => void) | undefined;
  #hasEnded = false;
  #isPaused = false;
  #closed: { readonly error: Error | undefined } | undefined;
  readonly writeTracked?: NonNullable<ByteConn['writeTracked']>;

  constructor(conn: ByteConn) {
    this.#conn = conn;
    if (conn.writeTracked !== undefined) {
      this.writeTracked = conn.writeTracked.bind(conn);
    }
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

  /**
   * Calls `decide` with all bytes so far after each read, and with `over` when no more will come. The caller
   * calls `stop` when it knows enough. Once, before `start`.
   */
  peek(decide: (bytes: Uint8Array, over: boolean) => void): void {
    this.#onPeek = decide;
    const peeking = this;
    this.#conn.start({
      get borrows() {
        // What is held is kept.
        return peeking.#sink?.borrows === true;
      },
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => {
        this.#hasEnded = true;
        this.#sink?.onEnd();
        this.#onPeek?.(this.#bytes(), true);
      },
      onDrain: () => this.#sink?.onDrain(),
      onClose: (error) => {
        this.#closed = { error };
        this.#sink?.onClose(error);
        this.#onPeek?.(this.#bytes(), true);
      },
    });
  }

  /** Ends the look; nothing is read until `start`. */
  stop(): void {
    this.#onPeek = undefined;
    this.#conn.pause();
  }

  start(sink: ByteSink): void {
    queueMicrotask(() => {
      for (const chunk of this.#held) {
        sink.onData(chunk);
      }
      this.#held = [];
      // From here on events pass straight through; before, they would have overtaken what was held.
      this.#sink = sink;
      if (this.#hasEnded) {
        sink.onEnd();
      }
      if (this.#closed !== undefined) {
        sink.onClose(this.#closed.error);
      } else if (!this.#isPaused) {
        this.#conn.resume();
      }
    });
  }

  write(chunk: Uint8Array): boolean {
    return this.#conn.write(chunk);
  }

  writeBorrowed(chunk: Uint8Array): boolean {
    return writeBorrowed(this.#conn, chunk);
  }

  writeAll(chunks: readonly Uint8Array[]): boolean {
    return writeAll(this.#conn, chunks);
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
      this.#conn.resume();
    }
  }

  destroy(reason?: MeshError): void {
    this.#conn.destroy(reason);
  }

  #onData(chunk: Uint8Array): void {
    if (this.#sink !== undefined) {
      this.#sink.onData(chunk);
      return;
    }
    this.#held.push(chunk);
    this.#onPeek?.(this.#bytes(), false);
  }

  #bytes(): Uint8Array {
    return this.#held.length === 1
      ? (this.#held[0] ?? new Uint8Array())
      : Buffer.concat(this.#held);
  }
}
