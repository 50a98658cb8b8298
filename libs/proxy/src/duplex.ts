/**
 * Between `ByteConn` and Node's Duplex, for libraries that want one.
 *
 * Rule: half-close and backpressure survive the adapter in both directions.
 */
import { Duplex } from 'node:stream';

import type { ErrorSide } from '@ambit/core';
import type { ByteConn } from './conn.ts';
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
      onData: (chunk) => {
        if (!this.push(chunk)) {
          conn.pause();
        }
      },
      onEnd: () => {
        this.#peerEnded = true;
        this.push(null);
      },
      onDrain: () => this.#release(),
      onClose: (error) => {
        this.#isClosed = true;
        this.#release();
        // Ended both ways, it destroys itself once the reader has seen the end.
        if (error !== undefined || !this.#peerEnded || !this.writableEnded) {
          this.destroy(error);
        }
      },
    });
  }

  override _read(): void {
    this.#conn.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    if (this.#conn.write(chunk)) {
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
  return new StreamConn(stream, {
    ...options,
    destroy: (reason) => stream.destroy(reason),
  });
}
