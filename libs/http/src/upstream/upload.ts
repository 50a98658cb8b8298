/** The body of a request on its way into a connection, as fast as that takes it. */
import type { MeshError } from '@ambit/core';
import type { BodySink, BodySource } from '../body.ts';
import type { FieldLines } from '../h1/message.ts';

export interface UploadTarget {
  /** False: wait for `drained`. */
  send(bytes: Uint8Array): boolean;
  /** The body is whole. */
  sendEnd(trailers: FieldLines): void;
  /** It broke off: the request must never look complete. */
  sendFailed(error: MeshError): void;
}

export class Upload implements BodySink {
  readonly #source: BodySource;
  readonly #target: UploadTarget;
  #isOver = false;

  constructor(source: BodySource, target: UploadTarget) {
    this.#source = source;
    this.#target = target;
  }

  /** The source is at its end, or nobody wants more of it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  start(): void {
    this.#source.start(this);
  }

  /** The target takes more. */
  drained(): void {
    if (!this.#isOver) {
      this.#source.resume();
    }
  }

  /** Nobody wants the rest. Idempotent. */
  stop(reason?: MeshError): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#source.cancel(reason);
    }
  }

  onData(bytes: Uint8Array): void {
    if (!this.#isOver && !this.#target.send(bytes) && !this.#isOver) {
      this.#source.pause();
    }
  }

  onEnd(trailers: FieldLines): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#target.sendEnd(trailers);
    }
  }

  onFailed(error: MeshError): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#target.sendFailed(error);
    }
  }
}
