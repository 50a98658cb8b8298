/**
 * Between `ByteConn` and Node's Duplex, for libraries that want one.
 *
 * Rule: half-close and backpressure survive the adapter in both directions.
 */
import { Duplex } from 'node:stream';

import type { ErrorSide, MeshError } from '@ambit/core';
import { type ByteConn, writeBorrowed } from './conn.ts';
import { fromIoError } from './errors.ts';
import { type ConnAddresses, StreamConn } from './stream-conn.ts';

type Done = (error?: Error | null) => void;

class ConnDuplex extends Duplex {
  readonly #conn: ByteConn;
  #waiting: Done | undefined;
  #isClosed = false;
  #peerEnded = false;

  constructor(conn: ByteConn) {
    super({ allowHalfOpen: true });
    this.#conn = conn;
    conn.start({
      // Not within the call: a TLS socket in here would read into the memory that the carrier is still being read from.
      onData: (chunk) => queueMicrotask(() => this.#deliver(chunk)),
      onEnd: () => {
        this.#peerEnded = true;
        queueMicrotask(() => this.push(null));
      },
      onDrain: () => this.#release(),
      onClose: (error) => queueMicrotask(() => this.#close(error)),
    });
  }

  #deliver(chunk: Uint8Array): void {
    if (!this.destroyed && !this.push(chunk)) {
      this.#conn.pause();
    }
  }

  #close(error: Error | undefined): void {
    this.#isClosed = true;
    this.#release();
    // Ended both ways, it destroys itself once the reader has seen the end.
    if (error !== undefined || !this.#peerEnded || !this.writableEnded) {
      this.destroy(error);
    }
  }

  override _read(): void {
    this.#conn.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    // Whoever writes may use the chunk again after `done`.
    if (this.#conn.writeTracked !== undefined) {
      this.#conn.writeTracked(chunk, done);
    } else if (writeBorrowed(this.#conn, chunk)) {
      done();
    } else {
      this.#waiting = done;
    }
  }

  override _final(done: Done): void {
    this.#conn.end();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    if (!this.#isClosed) {
      this.#conn.destroy(error === null ? undefined : fromIoError(error, 'local'));
    }
    done(error);
  }

  #release(): void {
    const done = this.#waiting;
    this.#waiting = undefined;
    done?.();
  }
}

/** Takes over `conn` (calls its `start`). */
export function duplexFromConn(conn: ByteConn): Duplex {
  return new ConnDuplex(conn);
}

/** Takes over a Duplex that nobody reads yet; a tunnel passes its carrier's addresses. */
export function connFromDuplex(
  stream: Duplex,
  options: ConnAddresses & { readonly side: ErrorSide },
): ByteConn {
  stream.allowHalfOpen = true;
  return new DuplexConn(stream, options, options);
}

class DuplexConn extends StreamConn {
  protected override destroyStream(reason: MeshError | undefined): void {
    this.stream.destroy(reason);
  }
}
