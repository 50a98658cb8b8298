/**
 * `ByteConn` on a Node Duplex: sockets and TLS sockets share this one implementation.
 *
 * Rule: the stream has an `error` listener from the constructor on, so nothing a peer does between
 * accept and `start` can end the process. Sockets read into memory that the thread shares (`shared-reads.ts`), so a
 * sink that does not borrow gets a copy.
 */
import type { Duplex } from 'node:stream';

import type { ErrorSide, MeshError } from '@ambit/core';
import type { ByteConn, ByteSink } from './conn.ts';
import { fromIoError } from './errors.ts';
import { Outbox } from './outbox.ts';
import { readShared } from './shared-reads.ts';
import { writeQueueOf } from './write-queue.ts';

export interface ConnAddresses {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export interface StreamConnOptions extends ConnAddresses {
  /** Who is at the other end; errors of the stream carry it. */
  readonly side: ErrorSide;
  /** How to end at once; `reason` asks for an RST where there is one. Default `stream.destroy()`. */
  readonly destroy?: (reason: MeshError | undefined) => void;
  /** Default: `fromIoError`. */
  readonly toError?: (error: unknown) => MeshError;
  /** What a close without an error event means; default: nothing. */
  readonly closeReason?: () => MeshError | undefined;
}

export class StreamConn implements ByteConn {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly #stream: Duplex;
  readonly #options: StreamConnOptions;
  #sink: ByteSink | undefined;
  #error: MeshError | undefined;
  #paused = false;
  #ended = false;
  #destroyed = false;
  #closed = false;
  #endDelivered = false;
  #closeDelivered = false;
  /** What came before `start`, or while nobody wanted it. */
  #held: Uint8Array[] = [];
  /** The sink has a chunk, and what comes meanwhile is held: it may pause and resume within. */
  #isDelivering = false;
  #outbox: Outbox | undefined;

  constructor(stream: Duplex, options: StreamConnOptions) {
    this.#stream = stream;
    this.#options = options;
    this.remoteAddress = options.remoteAddress;
    this.remotePort = options.remotePort;
    this.localAddress = options.localAddress;
    this.localPort = options.localPort;
    stream.on('error', (error) => {
      this.#error ??= this.#toError(error);
    });
    stream.once('end', () => this.#onEnd());
    if (stream.closed || stream.destroyed) {
      const { errored } = stream;
      this.#error = errored === null ? undefined : this.#toError(errored);
      this.#onClose();
    } else {
      stream.once('close', () => this.#onClose());
    }
  }

  start(sink: ByteSink): void {
    if (this.#sink !== undefined) {
      throw new Error('start was called twice');
    }
    this.#sink = sink;
    if (this.#closed) {
      queueMicrotask(() => this.#deliverClose());
      return;
    }
    this.#stream.on('drain', () => this.#destroyed || sink.onDrain());
    if (this.#stream.readableEnded) {
      queueMicrotask(() => this.#onEnd());
    } else {
      this.#read(sink);
    }
  }

  #read(sink: ByteSink): void {
    const stream = this.#stream;
    const before = readAll(stream);
    const onRead = (bytes: Uint8Array): void => {
      if (this.#destroyed) {
        return;
      }
      if (this.#paused || this.#held.length > 0 || this.#isDelivering) {
        // Records of TLS that were decrypted when `pause` was called still come.
        this.#held.push(Buffer.from(bytes));
      } else {
        sink.onData(sink.borrows === true ? bytes : Buffer.from(bytes));
      }
    };
    const isShared = readShared(stream, onRead);
    if (!isShared) {
      stream.on('data', (chunk: Uint8Array) => this.#destroyed || sink.onData(chunk));
    }
    if (before.length > 0) {
      this.#held.push(...before);
      process.nextTick(() => this.#deliverHeld());
    }
    if (this.#paused) {
      stream.pause();
    } else {
      stream.resume();
    }
  }

  #deliverHeld(): void {
    if (this.#isDelivering) {
      return;
    }
    this.#isDelivering = true;
    try {
      while (this.#held.length > 0 && !this.#paused && !this.#destroyed) {
        const chunk = this.#held.shift();
        if (chunk !== undefined) {
          this.#sink?.onData(chunk);
        }
      }
    } finally {
      this.#isDelivering = false;
    }
    if (this.#held.length === 0 && this.#stream.readableEnded) {
      this.#onEnd();
    }
    if (this.#closed) {
      this.#deliverClose();
    }
  }

  write(chunk: Uint8Array): boolean {
    if (!this.#takes()) {
      return true;
    }
    this.#outbox?.flush();
    return this.#stream.write(chunk);
  }

  writeBorrowed(chunk: Uint8Array): boolean {
    if (!this.#takes()) {
      return true;
    }
    this.#outbox ??= new Outbox(this.#stream);
    return this.#outbox.write(chunk);
  }

  writeTracked(chunk: Uint8Array, onTaken: (error?: Error | null) => void): void {
    if (this.#takes()) {
      this.#outbox?.flush();
      this.#stream.write(chunk, onTaken);
    } else {
      process.nextTick(onTaken);
    }
  }

  /** What the outbox still holds is not counted; `end` empties it. */
  get pendingBytes(): number {
    return writeQueueOf(this.#stream);
  }

  #takes(): boolean {
    return !this.#ended && !this.#destroyed && this.#stream.writable;
  }

  /** One call of the kernel for a socket; full records for TLS. */
  writeAll(chunks: readonly Uint8Array[]): boolean {
    const [only] = chunks;
    if (only !== undefined && chunks.length === 1) {
      return this.write(only);
    }
    if (!this.#takes()) {
      return true;
    }
    this.#outbox?.flush();
    let takesMore = true;
    this.#stream.cork();
    for (const chunk of chunks) {
      takesMore = this.#stream.write(chunk);
    }
    this.#stream.uncork();
    return takesMore;
  }

  end(): void {
    if (this.#ended || this.#destroyed) {
      return;
    }
    this.#outbox?.flush();
    this.#ended = true;
    this.#stream.end();
  }

  pause(): void {
    this.#paused = true;
    if (this.#sink !== undefined) {
      this.#stream.pause();
    }
  }

  resume(): void {
    this.#paused = false;
    if (this.#sink !== undefined) {
      this.#stream.resume();
      if (this.#held.length > 0) {
        this.#deliverHeld();
      }
    }
  }

  destroy(reason?: MeshError): void {
    if (this.#closed && !this.#closeDelivered) {
      this.#held = [];
      this.#deliverClose();
    }
    if (this.#destroyed || this.#closed) {
      return;
    }
    this.#destroyed = true;
    this.#error = reason;
    if (this.#options.destroy === undefined) {
      this.#stream.destroy();
    } else {
      this.#options.destroy(reason);
    }
  }

  #toError(error: unknown): MeshError {
    return this.#options.toError?.(error) ?? fromIoError(error, this.#options.side);
  }

  /** A socket without data reports its end although nobody reads: it is held until `start`. */
  #onEnd(): void {
    const isRead = this.#held.length === 0;
    if (this.#sink !== undefined && isRead && !this.#destroyed && !this.#endDelivered) {
      this.#endDelivered = true;
      this.#sink.onEnd();
    }
  }

  #onClose(): void {
    this.#closed = true;
    if (!this.#destroyed) {
      this.#error ??= this.#options.closeReason?.();
    }
    this.#deliverClose();
  }

  #deliverClose(): void {
    const isOwed = this.#held.length > 0 && this.#error === undefined && !this.#destroyed;
    if (isOwed) {
      // Both sides ended in order while nobody read.
      return;
    }
    if (this.#sink !== undefined && !this.#closeDelivered) {
      this.#closeDelivered = true;
      this.#held = [];
      this.#sink.onClose(this.#error);
    }
  }
}

/** What the stream has read already: a read may give a part of it. */
function readAll(stream: Duplex): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  while (stream.readableLength > 0) {
    const chunk: Uint8Array | null = stream.read();
    if (chunk === null) {
      break;
    }
    chunks.push(chunk);
  }
  return chunks;
}
