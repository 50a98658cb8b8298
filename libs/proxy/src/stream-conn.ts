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
import { readShared, type SharedReader } from './shared-reads.ts';
import { writeQueueOf } from './write-queue.ts';

export interface ConnAddresses {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export interface StreamConnOptions {
  /** Who is at the other end; errors of the stream carry it. */
  readonly side: ErrorSide;
  /** Default: `fromIoError`. */
  readonly toError?: ((error: unknown) => MeshError) | undefined;
}

/** Where a stream keeps its connection: listeners are the same functions for all streams, as closures would cost each its own. */
const CONN = Symbol('StreamConn');

type Owned = Duplex & { [CONN]?: StreamConn };

export class StreamConn<Stream extends Duplex = Duplex> implements ByteConn, SharedReader {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  protected readonly stream: Stream;
  readonly #side: ErrorSide;
  readonly #toErrorOf: StreamConnOptions['toError'];
  #sink: ByteSink | undefined;
  #error: MeshError | undefined;
  #paused = false;
  #ended = false;
  #destroyed = false;
  #closed = false;
  #endDelivered = false;
  #closeDelivered = false;
  /** What came before `start`, or while nobody wanted it; undefined: nothing. */
  #held: Uint8Array[] | undefined;
  /** The sink has a chunk, and what comes meanwhile is held: it may pause and resume within. */
  #isDelivering = false;
  #outbox: Outbox | undefined;

  /** Takes the stream over; it can be taken once. */
  constructor(stream: Stream, addresses: ConnAddresses, { side, toError }: StreamConnOptions) {
    const owned: Owned = stream;
    if (owned[CONN] !== undefined) {
      throw new Error('the stream has a connection already');
    }
    owned[CONN] = this;
    this.stream = stream;
    this.#side = side;
    this.#toErrorOf = toError;
    this.remoteAddress = addresses.remoteAddress;
    this.remotePort = addresses.remotePort;
    this.localAddress = addresses.localAddress;
    this.localPort = addresses.localPort;
    stream.on('error', StreamConn.#listeners.error);
    stream.on('end', StreamConn.#listeners.end);
    if (stream.closed || stream.destroyed) {
      const { errored } = stream;
      this.#error = errored === null ? undefined : this.#toError(errored);
      this.#onClose();
    } else {
      stream.on('close', StreamConn.#listeners.close);
    }
  }

  static readonly #listeners = {
    error(this: Owned, error: unknown): void {
      const conn = this[CONN];
      if (conn !== undefined) {
        conn.#error ??= conn.#toError(error);
      }
    },
    end(this: Owned): void {
      const conn = this[CONN];
      if (conn !== undefined) {
        conn.#onEnd();
      }
    },
    close(this: Owned): void {
      const conn = this[CONN];
      if (conn !== undefined) {
        conn.#onClose();
      }
    },
    drain(this: Owned): void {
      const conn = this[CONN];
      if (conn !== undefined && !conn.#destroyed) {
        conn.#sink?.onDrain();
      }
    },
    data(this: Owned, chunk: Uint8Array): void {
      const conn = this[CONN];
      if (conn !== undefined && !conn.#destroyed) {
        conn.#sink?.onData(chunk);
      }
    },
  };

  start(sink: ByteSink): void {
    if (this.#sink !== undefined) {
      throw new Error('start was called twice');
    }
    this.#sink = sink;
    if (this.#closed) {
      queueMicrotask(() => this.#deliverClose());
      return;
    }
    this.stream.on('drain', StreamConn.#listeners.drain);
    if (this.stream.readableEnded) {
      queueMicrotask(() => this.#onEnd());
    } else {
      this.#read();
    }
  }

  #read(): void {
    const { stream } = this;
    const before = readAll(stream);
    if (!readShared(stream, this)) {
      stream.on('data', StreamConn.#listeners.data);
    }
    if (before.length > 0) {
      this.#held = this.#held === undefined ? before : [...this.#held, ...before];
      process.nextTick(() => this.#deliverHeld());
    }
    if (this.#paused) {
      stream.pause();
    } else {
      stream.resume();
    }
  }

  /** For `readShared`. */
  onRead(bytes: Uint8Array): void {
    const sink = this.#sink;
    if (sink === undefined || this.#destroyed) {
      return;
    }
    if (this.#paused || this.#held !== undefined || this.#isDelivering) {
      // Records of TLS that were decrypted when `pause` was called still come.
      this.#held ??= [];
      this.#held.push(Buffer.from(bytes));
    } else {
      sink.onData(sink.borrows === true ? bytes : Buffer.from(bytes));
    }
  }

  #deliverHeld(): void {
    if (this.#isDelivering) {
      return;
    }
    this.#isDelivering = true;
    try {
      while (this.#held !== undefined && !this.#paused && !this.#destroyed) {
        const chunk = this.#held.shift();
        if (this.#held.length === 0) {
          this.#held = undefined;
        }
        if (chunk !== undefined) {
          this.#sink?.onData(chunk);
        }
      }
    } finally {
      this.#isDelivering = false;
    }
    if (this.#held === undefined && this.stream.readableEnded) {
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
    return this.stream.write(chunk);
  }

  writeBorrowed(chunk: Uint8Array): boolean {
    if (!this.#takes()) {
      return true;
    }
    this.#outbox ??= new Outbox(this.stream);
    return this.#outbox.write(chunk);
  }

  writeTracked(chunk: Uint8Array, onTaken: (error?: Error | null) => void): void {
    if (this.#takes()) {
      this.#outbox?.flush();
      this.stream.write(chunk, onTaken);
    } else {
      process.nextTick(onTaken);
    }
  }

  /** What the outbox still holds is not counted; `end` empties it. */
  get pendingBytes(): number {
    return writeQueueOf(this.stream);
  }

  get heldBytes(): number {
    return this.stream.writableLength + (this.#outbox?.waitingBytes ?? 0);
  }

  #takes(): boolean {
    return !this.#ended && !this.#destroyed && this.stream.writable;
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
    this.stream.cork();
    for (const chunk of chunks) {
      takesMore = this.stream.write(chunk);
    }
    this.stream.uncork();
    return takesMore;
  }

  end(): void {
    if (this.#ended || this.#destroyed) {
      return;
    }
    this.#outbox?.flush();
    this.#ended = true;
    this.stream.end();
  }

  pause(): void {
    this.#paused = true;
    if (this.#sink !== undefined) {
      this.stream.pause();
    }
  }

  resume(): void {
    this.#paused = false;
    if (this.#sink !== undefined) {
      this.stream.resume();
      if (this.#held !== undefined) {
        this.#deliverHeld();
      }
    }
  }

  destroy(reason?: MeshError): void {
    if (this.#closed && !this.#closeDelivered) {
      this.#held = undefined;
      this.#deliverClose();
    }
    if (this.#destroyed || this.#closed) {
      return;
    }
    this.#destroyed = true;
    this.#error = reason;
    this.destroyStream(reason);
  }

  /** How the stream ends at once; `reason` asks for an RST where there is one. */
  protected destroyStream(_reason: MeshError | undefined): void {
    this.stream.destroy();
  }

  #toError(error: unknown): MeshError {
    return this.#toErrorOf?.(error) ?? fromIoError(error, this.#side);
  }

  /** A socket without data reports its end although nobody reads: it is held until `start`. */
  #onEnd(): void {
    const isRead = this.#held === undefined;
    if (this.#sink !== undefined && isRead && !this.#destroyed && !this.#endDelivered) {
      this.#endDelivered = true;
      this.#sink.onEnd();
    }
  }

  #onClose(): void {
    this.#closed = true;
    this.#deliverClose();
  }

  #deliverClose(): void {
    const isOwed = this.#held !== undefined && this.#error === undefined && !this.#destroyed;
    if (isOwed) {
      // Both sides ended in order while nobody read.
      return;
    }
    if (this.#sink !== undefined && !this.#closeDelivered) {
      this.#closeDelivered = true;
      this.#held = undefined;
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
