/**
 * A request's body that can be sent more than once: to a retry, and to mirrors.
 *
 * What has been read is kept up to a bound; beyond it the body can no longer be replayed, and a retry is
 * not made. The client is read only as fast as the current try takes it. A mirror never slows a request:
 * one that lags is cut.
 */
import { Readable } from 'node:stream';
import type { HeaderList } from './headers.ts';

export const REPLAY_BYTES_MAX = 64 * 1024;
/** A mirror that is so far behind loses its copy. */
const MIRROR_LAG_BYTES_MAX = 1024 * 1024;
/** Of a body that nobody wants, so much is read after the answer. */
const DISCARD_BYTES_MAX = 1024 * 1024;

export class RequestBody {
  readonly #source: Readable;
  readonly #trailers: () => HeaderList | undefined;
  readonly #limit: number;
  readonly #mirrors = new Set<Readable>();
  readonly #ended = Promise.withResolvers<void>();
  #kept: Buffer[] | undefined = [];
  #keptBytes = 0;
  #bytes = 0;
  #discardUntil = Number.POSITIVE_INFINITY;
  #current: Readable | undefined;
  #state: 'flowing' | 'ended' | 'failed' = 'flowing';
  #isStarted = false;

  constructor(
    source: Readable,
    options: {
      readonly trailers?: () => HeaderList | undefined;
      readonly replayBytesMax?: number;
    } = {},
  ) {
    this.#source = source;
    this.#trailers = options.trailers ?? ((): undefined => undefined);
    this.#limit = options.replayBytesMax ?? REPLAY_BYTES_MAX;
    this.#ended.promise.catch(() => undefined);
  }

  /** Bytes read from the client so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Everything read so far is still here. */
  get isReplayable(): boolean {
    return this.#kept !== undefined && this.#state !== 'failed';
  }

  /** Resolves when the client has sent all of it; rejects when it broke off. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Without what a client may not say, as for its headers. */
  trailers(): HeaderList | undefined {
    const fields = this.#state === 'ended' ? this.#trailers() : undefined;
    fields?.removeInternal();
    return fields;
  }

  /** The body for one try, from its first byte. The try before is cut off. Undefined: cannot be replayed. */
  open(): Readable | undefined {
    if (!this.isReplayable) {
      return undefined;
    }
    this.#current?.destroy();
    const reader = new Readable({ read: () => this.#resume() });
    reader.on('error', ignoreErrors);
    reader.once('close', () => this.#leave(reader));
    this.#current = reader;
    for (const chunk of this.#kept ?? []) {
      reader.push(chunk);
    }
    if (this.#state === 'ended') {
      reader.push(null);
    }
    this.#start();
    return reader;
  }

  /** A copy that follows the body without holding it up. Call before `open`. */
  tap(): Readable {
    const copy = new Readable({ read: () => undefined });
    copy.on('error', ignoreErrors);
    copy.once('close', () => this.#mirrors.delete(copy));
    this.#mirrors.add(copy);
    return copy;
  }

  /** Reads and drops the rest, as far as that is cheap, so that the client sees the answer and not a reset. */
  discard(): void {
    this.#kept = undefined;
    this.#discardUntil = this.#bytes + DISCARD_BYTES_MAX;
    this.#current?.destroy();
    this.#current = undefined;
    this.#start();
    this.#source.resume();
  }

  #start(): void {
    if (this.#isStarted) {
      return;
    }
    this.#isStarted = true;
    this.#source.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#source.once('end', () => this.#onEnd());
    this.#source.once('error', (error) => this.#onFailure(error));
    this.#source.once('close', () => this.#onFailure(new Error('the client went away')));
  }

  #resume(): void {
    if (this.#state === 'flowing') {
      this.#source.resume();
    }
  }

  #leave(reader: Readable): void {
    if (this.#current === reader) {
      this.#current = undefined;
    }
  }

  #onData(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#discardUntil) {
      this.#source.destroy();
      return;
    }
    this.#keep(chunk);
    for (const mirror of this.#mirrors) {
      if (mirror.readableLength > MIRROR_LAG_BYTES_MAX) {
        mirror.destroy(new Error('the mirror is too slow'));
      } else {
        mirror.push(chunk);
      }
    }
    if (this.#current?.push(chunk) === false) {
      this.#source.pause();
    }
  }

  #keep(chunk: Buffer): void {
    if (this.#kept === undefined) {
      return;
    }
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > this.#limit) {
      this.#kept = undefined;
    } else {
      this.#kept.push(chunk);
    }
  }

  #onEnd(): void {
    this.#state = 'ended';
    this.#current?.push(null);
    for (const mirror of this.#mirrors) {
      mirror.push(null);
    }
    this.#ended.resolve();
  }

  #onFailure(error: Error): void {
    if (this.#state !== 'flowing') {
      return;
    }
    this.#state = 'failed';
    this.#current?.destroy(error);
    for (const mirror of this.#mirrors) {
      mirror.destroy(error);
    }
    this.#ended.reject(error);
  }
}

/** Whoever reads the copy learns of it by `close`. */
function ignoreErrors(): void {}
