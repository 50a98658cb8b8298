/** One reader's end of a body that several read: what its reader does not take yet waits here. */
import type { MeshError } from '@ambit/core';
import type { BodySink, BodySource } from './body.ts';
import type { FieldLines } from './h1/message.ts';

/** What the body hears of its reader. */
export interface BodyReaderHost {
  readonly onStart?: () => void;
  readonly onPause?: () => void;
  readonly onResume?: () => void;
  readonly onCancel: () => void;
}

export class BodyReader implements BodySource {
  #host: BodyReaderHost | undefined;
  #sink: BodySink | undefined;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #isPaused = false;
  #isDelivering = false;
  #isOver = false;
  #trailers: FieldLines | undefined;
  #failure: MeshError | undefined;

  constructor(host: BodyReaderHost) {
    this.#host = host;
  }

  /** What was given and not taken. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** In how many pieces that is. */
  get pendingPieces(): number {
    return this.#pending.length;
  }

  push(bytes: Uint8Array): void {
    if (this.#isOver) {
      return;
    }
    if (this.#sink !== undefined && !this.#isPaused && this.#pendingBytes === 0) {
      this.#sink.onData(bytes);
    } else {
      this.#pending.push(bytes);
      this.#pendingBytes += bytes.length;
    }
  }

  end(trailers: FieldLines): void {
    this.#trailers = trailers;
    this.#deliver();
  }

  /** What was not taken is not delivered any more. */
  fail(error: MeshError): void {
    this.#failure ??= error;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#deliver();
  }

  /** Nothing is told to either side any more. */
  detach(): void {
    this.#isOver = true;
    this.#host = undefined;
    this.#sink = undefined;
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  start(sink: BodySink): void {
    if (this.#isOver) {
      return;
    }
    this.#sink = sink;
    this.#deliver();
    this.#host?.onStart?.();
  }

  pause(): void {
    if (!this.#isPaused && !this.#isOver) {
      this.#isPaused = true;
      this.#host?.onPause?.();
    }
  }

  resume(): void {
    if (this.#isPaused && !this.#isOver) {
      this.#isPaused = false;
      this.#deliver();
      if (!this.#isPaused) {
        this.#host?.onResume?.();
      }
    }
  }

  cancel(): void {
    const host = this.#host;
    this.detach();
    host?.onCancel();
  }

  #deliver(): void {
    if (this.#sink === undefined || this.#isDelivering) {
      return;
    }
    this.#isDelivering = true;
    try {
      while (this.#pending.length > 0 && !this.#isPaused) {
        const chunk = this.#pending.shift();
        if (chunk !== undefined) {
          this.#pendingBytes -= chunk.length;
          this.#sink?.onData(chunk);
        }
      }
    } finally {
      this.#isDelivering = false;
    }
    if (this.#failure !== undefined) {
      this.#finish()?.onFailed(this.#failure);
    } else if (this.#trailers !== undefined && this.#pending.length === 0 && !this.#isPaused) {
      this.#finish()?.onEnd(this.#trailers);
    }
  }

  #finish(): BodySink | undefined {
    const sink = this.#sink;
    this.detach();
    return sink;
  }
}
