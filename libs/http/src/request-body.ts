/**
 * A request's body that can be sent more than once: to a retry, and to mirrors.
 *
 * What has been read is kept up to a bound of bytes and one of pieces; beyond them the body can no longer be replayed, and a retry is not made. The client
 * is read only as fast as the current try takes it, and not at all while there is none. A mirror never slows a request: one
 * that lags is cut.
 */
import type { MeshError } from '@ambit/core';
import type { BodySink, BodySource } from './body.ts';
import { BodyReader } from './body-reader.ts';
import { HttpError } from './errors.ts';
import { type FieldLines, NO_FIELDS } from './h1/message.ts';
import { HeaderList } from './headers.ts';

export const REPLAY_BYTES_MAX = 64 * 1024;
/** A piece costs more than its bytes, and a client may send them one by one. */
export const REPLAY_PIECES_MAX = 1_024;
/** A mirror that is so far behind loses its copy. */
const MIRROR_LAG_BYTES_MAX = 1024 * 1024;
export const MIRROR_LAG_PIECES_MAX = 4_096;
/** Of a body that nobody wants, so much is read while the answer is sent. */
const DISCARD_BYTES_MAX = 1024 * 1024;

export class RequestBody implements BodySink {
  readonly #source: BodySource;
  readonly #limit: number;
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #bytes = 0;
  #discardUntil = Number.POSITIVE_INFINITY;
  #current: BodyReader | undefined;
  #mirrors: Set<BodyReader> | undefined;
  #isStarted = false;
  #trailers: FieldLines | undefined;
  #failure: MeshError | undefined;
  #onWhole: (() => void) | undefined;

  constructor(source: BodySource, replayBytesMax = REPLAY_BYTES_MAX) {
    this.#source = source;
    this.#limit = replayBytesMax;
  }

  /** Bytes read from the client so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Everything read so far is still here. */
  get isReplayable(): boolean {
    return this.#kept !== undefined && this.#failure === undefined;
  }

  /** Calls back once when the client has sent all of it; at once if it has. */
  whenWhole(listener: () => void): void {
    if (this.#trailers === undefined) {
      this.#onWhole = listener;
    } else {
      listener();
    }
  }

  /** The body for one try, from its first byte. The try before is cut off. Undefined: cannot be replayed. */
  open(): BodySource | undefined {
    if (!this.isReplayable) {
      return undefined;
    }
    this.#current?.detach();
    const reader = new BodyReader({
      onStart: () => this.#readOn(),
      onPause: () => this.#source.pause(),
      onResume: () => this.#resume(),
      onCancel: () => this.#leave(reader),
    });
    this.#current = reader;
    this.#replay(reader);
    return reader;
  }

  /** A copy that follows the body without holding it up. Call before `open`. */
  tap(): BodySource {
    const mirrors = this.#mirrors ?? new Set<BodyReader>();
    this.#mirrors = mirrors;
    const copy: BodyReader = new BodyReader({ onCancel: () => mirrors.delete(copy) });
    mirrors.add(copy);
    this.#replay(copy);
    return copy;
  }

  /** No try comes after the one that has it now. */
  settle(): void {
    this.#kept = undefined;
    if (this.#current === undefined) {
      this.discard();
    }
  }

  /** Reads and drops the rest, as far as that is cheap, so that a client that sends first gets to its answer. */
  discard(): void {
    this.#kept = undefined;
    this.#current?.detach();
    this.#current = undefined;
    if (this.#trailers === undefined && this.#failure === undefined) {
      this.#discardUntil = this.#bytes + DISCARD_BYTES_MAX;
      this.#readOn();
    }
  }

  onData(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.#bytes > this.#discardUntil) {
      this.#source.cancel();
      return;
    }
    this.#keep(bytes);
    for (const mirror of this.#mirrors ?? []) {
      const { pendingBytes, pendingPieces } = mirror;
      if (pendingBytes > MIRROR_LAG_BYTES_MAX || pendingPieces > MIRROR_LAG_PIECES_MAX) {
        this.#mirrors?.delete(mirror);
        mirror.fail(new HttpError('HTTP_INTERNAL', 'the mirror is too slow', { side: 'upstream' }));
      } else {
        mirror.push(bytes);
      }
    }
    this.#current?.push(bytes);
  }

  /** Without what a client may not say, as for its headers. */
  onEnd(trailers: FieldLines): void {
    this.#trailers = withoutInternal(trailers);
    for (const reader of this.#readers()) {
      reader.end(this.#trailers);
    }
    this.#onWhole?.();
  }

  onFailed(error: MeshError): void {
    this.#failure = error;
    for (const reader of this.#readers()) {
      reader.fail(error);
    }
  }

  #readers(): readonly BodyReader[] {
    const mirrors = this.#mirrors === undefined ? [] : [...this.#mirrors];
    return this.#current === undefined ? mirrors : [this.#current, ...mirrors];
  }

  #replay(reader: BodyReader): void {
    for (const chunk of this.#kept ?? []) {
      reader.push(chunk);
    }
    if (this.#trailers !== undefined) {
      reader.end(this.#trailers);
    }
  }

  #readOn(): void {
    if (!this.#isStarted) {
      this.#isStarted = true;
      this.#source.start(this);
    } else {
      this.#resume();
    }
  }

  #resume(): void {
    if (this.#trailers === undefined && this.#failure === undefined) {
      this.#source.resume();
    }
  }

  /** Another try may come, and wants what comes now from its first byte. */
  #leave(reader: BodyReader): void {
    if (this.#current !== reader) {
      return;
    }
    this.#current = undefined;
    if (this.#kept === undefined) {
      this.discard();
    } else if (this.#isStarted && this.#trailers === undefined) {
      this.#source.pause();
    }
  }

  #keep(chunk: Uint8Array): void {
    if (this.#kept === undefined) {
      return;
    }
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > this.#limit || this.#kept.length >= REPLAY_PIECES_MAX) {
      this.#kept = undefined;
    } else {
      this.#kept.push(chunk);
    }
  }
}

function withoutInternal(trailers: FieldLines): FieldLines {
  if (trailers.length === 0) {
    return NO_FIELDS;
  }
  const list = HeaderList.of(trailers);
  list.removeInternal();
  return list.lines;
}
