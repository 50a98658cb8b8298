/**
 * `ByteConn` on a Node Duplex: sockets, TLS sockets and HTTP/2 streams share this one implementation.
 *
 * Rule: the stream has an `error` listener from the constructor on, so nothing a peer does between
 * accept and `start` can end the process. Node gives each read its own memory, so chunks may be kept.
 */
import type { Duplex } from 'node:stream';

import type { ErrorSide, MeshError } from '@ambit/core';
import type { ByteConn, ByteSink } from './conn.ts';
import { fromIoError } from './errors.ts';

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
  /** What is written within one turn of the event loop goes out with one call, and more may wait. Default false. */
  readonly gathers?: boolean;
}

/** With `gathers`: what may wait before `write` says false. */
const GATHERED_BYTES_MAX = 512 * 1024;

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
  #isCorked = false;

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
    if (this.#stream.readableEnded) {
      queueMicrotask(() => this.#onEnd());
    }
    this.#stream.on('drain', () => this.#destroyed || sink.onDrain());
    this.#stream.on('data', (chunk: Uint8Array) => this.#destroyed || sink.onData(chunk));
    if (this.#paused) {
      this.#stream.pause();
    }
  }

  write(chunk: Uint8Array): boolean {
    if (this.#ended || this.#destroyed || !this.#stream.writable) {
      return true;
    }
    if (this.#options.gathers !== true) {
      return this.#stream.write(chunk);
    }
    this.#cork();
    // The stream says `drain` from its own, lower mark on, so no wait is missed.
    return this.#stream.write(chunk) || this.#stream.writableLength < GATHERED_BYTES_MAX;
  }

  /** One call of the kernel for a socket; full records for TLS. */
  writeAll(chunks: readonly Uint8Array[]): boolean {
    const [only] = chunks;
    if (only !== undefined && chunks.length === 1) {
      return this.write(only);
    }
    if (this.#ended || this.#destroyed || !this.#stream.writable) {
      return true;
    }
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
    }
  }

  destroy(reason?: MeshError): void {
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

  #cork(): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#stream.cork();
      setImmediate(() => {
        this.#isCorked = false;
        this.#stream.uncork();
      });
    }
  }

  #toError(error: unknown): MeshError {
    return this.#options.toError?.(error) ?? fromIoError(error, this.#options.side);
  }

  /** A socket without data reports its end although nobody reads: it is held until `start`. */
  #onEnd(): void {
    if (this.#sink !== undefined && !this.#destroyed && !this.#endDelivered) {
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
    if (this.#sink !== undefined && !this.#closeDelivered) {
      this.#closeDelivered = true;
      this.#sink.onClose(this.#error);
    }
  }
}
