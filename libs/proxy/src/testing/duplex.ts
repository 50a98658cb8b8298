/**
 * A Duplex of Node on a `ByteConn`, for tests that speak HTTP or TLS by Node's own modules.
 *
 * Rule: half-close and backpressure survive it in both directions.
 */
import { Duplex } from 'node:stream';

import { type ByteConn, writeBorrowed } from '../conn.ts';
import { fromIoError } from '../errors.ts';

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
