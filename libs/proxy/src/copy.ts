/**
 * Joins two connections: two independent directions, each with half-close and backpressure.
 *
 * Rule: the end of one side ends only the other side's opposite direction; a side that
 * vanishes (RST, cancel) counts as a normal end, becomes a clean end on the other side and is never
 * passed on as a reset, except to a peer that goes on sending to nobody. Nor is more read than all copies together may hold
 * (`held-bytes.ts`).
 */
import { type Cancellation, type Clock, MeshError, systemClock } from '@ambit/core';
import { type ByteConn, type ByteSink, writeBorrowed } from './conn.ts';
import { fromIoError, isPeerGone, ProxyError } from './errors.ts';
import { FINISHED } from './finished.ts';
import { type HeldBytes, type HeldSource, threadHeld } from './held-bytes.ts';

/** How long the side that is left may take to end after the other vanished. */
const LINGER_MS = 30_000;

/** An object and not a promise: of every connection one is kept for as long as it lives. */
export interface CopyObserver {
  /** Per chunk, before it is written; `fromA` tells the direction. */
  onBytes?(fromA: boolean, bytes: number): void;
  /** Once, when both are closed. */
  onDone(result: CopyResult): void;
}

export interface CopyOptions {
  /** Aborting destroys both sides with the signal's reason. */
  readonly signal?: Cancellation;
  readonly clock?: Clock;
  readonly lingerMs?: number;
  /** Default: of the thread. */
  readonly held?: HeldBytes;
}

export interface CopyResult {
  readonly bytesFromA: number;
  readonly bytesFromB: number;
  /** `gone`: a side vanished, which is normal. `aborted`: by the signal. `failed`: see `error`. */
  readonly end: 'finished' | 'gone' | 'aborted' | 'failed';
  readonly error?: MeshError;
}

class Half implements ByteSink, HeldSource {
  readonly borrows = true;
  readonly conn: ByteConn;
  readonly #copy: Copy;
  readonly #isA: boolean;
  other!: Half;
  hold: HeldSource['hold'];
  bytes = 0;
  hasEnded = false;
  isClosed = false;
  error: Error | undefined;

  constructor(copy: Copy, conn: ByteConn, isA: boolean) {
    this.#copy = copy;
    this.conn = conn;
    this.#isA = isA;
  }

  onData(chunk: Uint8Array): void {
    if (this.other.isClosed) {
      this.#copy.cut(this);
      return;
    }
    this.bytes += chunk.length;
    this.#copy.observer.onBytes?.(this.#isA, chunk.length);
    const takesMore = writeBorrowed(this.other.conn, chunk);
    if (!this.#copy.held.wrote(this) || !takesMore) {
      this.conn.pause();
    }
  }

  /** Of what came here. */
  get heldBytes(): number {
    const { conn } = this.other;
    return conn.heldBytes ?? conn.pendingBytes ?? 0;
  }

  onRoom(): void {
    try {
      this.conn.resume();
    } catch (cause) {
      // What is read now is delivered at once, and nobody else would catch what its receiver throws.
      this.conn.destroy(fromIoError(cause, 'local'));
    }
  }

  onEnd(): void {
    this.hasEnded = true;
    this.other.conn.end();
  }

  onDrain(): void {
    this.other.conn.resume();
  }

  onClose(error?: Error): void {
    this.isClosed = true;
    this.error = error;
    this.#copy.closed(this);
  }
}

class Copy {
  readonly observer: CopyObserver;
  readonly held: HeldBytes;
  readonly #a: Half;
  readonly #b: Half;
  readonly #options: CopyOptions;
  #linger: AbortController | undefined;
  #first: Half | undefined;
  #aborted: MeshError | undefined;

  constructor(a: ByteConn, b: ByteConn, observer: CopyObserver, options: CopyOptions) {
    this.observer = observer;
    this.held = options.held ?? threadHeld;
    this.#options = options;
    this.#a = new Half(this, a, true);
    this.#b = new Half(this, b, false);
    this.#a.other = this.#b;
    this.#b.other = this.#a;
  }

  start(): void {
    this.#a.conn.start(this.#a);
    this.#b.conn.start(this.#b);
    const { signal } = this.#options;
    if (signal?.aborted) {
      this.handleEvent();
    } else {
      signal?.addEventListener('abort', this, { once: true });
    }
  }

  /** The peer of `half` sends, and nobody is there to take it. */
  cut(half: Half): void {
    half.conn.destroy(
      new ProxyError('PROXY_PEER_GONE', 'the other side is gone', { side: 'local' }),
    );
  }

  closed(half: Half): void {
    this.held.release(half.other);
    if (half.other.isClosed) {
      this.#finish();
      return;
    }
    this.#first = half;
    half.other.conn.end();
    half.other.conn.resume();
    if (!half.hasEnded || !half.other.hasEnded) {
      const { clock = systemClock, lingerMs = LINGER_MS } = this.#options;
      this.#linger = new AbortController();
      clock.sleep(lingerMs, this.#linger.signal).then(
        () => this.cut(half.other),
        // Only the abort of `#finish` ends the sleep early: the side is closed already.
        () => undefined,
      );
    }
  }

  /** The signal was aborted. */
  handleEvent(): void {
    const reason: unknown = this.#options.signal?.reason;
    this.#aborted =
      reason instanceof MeshError
        ? reason
        : new ProxyError('PROXY_ABORTED', 'connection closed', { side: 'local', cause: reason });
    this.#a.conn.destroy(this.#aborted);
    this.#b.conn.destroy(this.#aborted);
  }

  #finish(): void {
    this.#options.signal?.removeEventListener('abort', this);
    this.#linger?.abort(FINISHED);
    const counts = { bytesFromA: this.#a.bytes, bytesFromB: this.#b.bytes };
    if (this.#aborted !== undefined) {
      this.observer.onDone({ ...counts, end: 'aborted', error: this.#aborted });
      return;
    }
    // The side that went first is the cause; what the other then reports is its consequence.
    const error = this.#first?.error ?? this.#first?.other.error;
    if (error !== undefined && !isPeerGone(error)) {
      const failure =
        error instanceof MeshError
          ? error
          : new ProxyError('PROXY_IO', error.message, { side: 'local', cause: error });
      this.observer.onDone({ ...counts, end: 'failed', error: failure });
      return;
    }
    const finished = error === undefined && this.#a.hasEnded && this.#b.hasEnded;
    this.observer.onDone({ ...counts, end: finished ? 'finished' : 'gone' });
  }
}

/** Starts both and copies until both are closed. `observer` must not throw. */
export function copyBoth(
  a: ByteConn,
  b: ByteConn,
  observer: CopyObserver,
  options: CopyOptions = {},
): void {
  new Copy(a, b, observer, options).start();
}
