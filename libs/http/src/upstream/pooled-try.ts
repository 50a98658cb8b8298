/**
 * What is the same for a try in both versions of HTTP: who is told what, and that nobody is told twice.
 *
 * Rule: a response's body goes to its reader in order and to its end, or the reader is told that it broke off. Nothing of it
 * is read from the connection before there is a reader.
 */
import type { MeshError } from '@ambit/core';
import type { BodySink, BodySource } from '../body.ts';
import type { HttpError } from '../errors.ts';
import type { FieldLines } from '../h1/message.ts';
import { uploadFailure } from './breaks.ts';
import type { UpstreamLink } from './message.ts';
import type { Try, TryRequest, TryResponse, TrySink } from './try.ts';
import { Upload, type UploadTarget } from './upload.ts';

/** `waiting` for a connection; the request is `sent`, or being so; the head of the response was told. */
type Phase = 'waiting' | 'sent' | 'answered' | 'over';

const NOBODY: BodySink = {
  onData: () => undefined,
  onEnd: () => undefined,
  onFailed: () => undefined,
};

export abstract class PooledTry<Sink extends TrySink = TrySink>
  implements Try, BodySource, UploadTarget
{
  /** Changed by the pool alone, and only while it waits. */
  link: UpstreamLink;
  protected readonly request: TryRequest;
  /** For the pool: it counts in the cluster's limit of requests that wait. */
  isPending = false;
  waitsSinceMs = 0;
  #sink: Sink | undefined;
  #phase: Phase = 'waiting';
  #upload: Upload | undefined;
  #reader: BodySink | undefined;
  /** Nobody reads the response's body yet. */
  #isHeld = false;
  #isPaused = false;
  #isEmpty = false;
  /** Of a body that nobody reads yet. */
  #failure: HttpError | undefined;

  constructor(link: UpstreamLink, request: TryRequest, sink: Sink) {
    this.link = link;
    this.request = request;
    this.#sink = sink;
  }

  get phase(): Phase {
    return this.#phase;
  }

  protected get sink(): Sink | undefined {
    return this.#sink;
  }

  abort(reason: HttpError): void {
    const phase = this.#phase;
    if (phase === 'over') {
      return;
    }
    this.#end(reason);
    if (phase === 'waiting') {
      this.leave();
    } else {
      this.cut(reason);
    }
    if (phase === 'answered') {
      this.#tellReader(reason);
    }
  }

  // The response's body, for who reads it.

  start(reader: BodySink): void {
    if (this.#reader !== undefined) {
      throw new Error('start was called twice');
    }
    this.#reader = reader;
    if (this.#failure !== undefined) {
      reader.onFailed(this.#failure);
    } else if (this.#isHeld) {
      this.#isHeld = false;
      if (!this.#isPaused) {
        this.resumeReading();
      }
    }
  }

  pause(): void {
    this.#isPaused = true;
    if (this.#phase === 'answered') {
      this.pauseReading();
    }
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#phase === 'answered' && !this.#isHeld) {
      this.resumeReading();
    }
  }

  cancel(reason?: MeshError): void {
    this.#failure = undefined;
    if (this.#phase !== 'answered') {
      return;
    }
    if (this.#isEmpty && !this.isUploading) {
      // Its end is on its way, and the connection is worth keeping.
      this.#reader = NOBODY;
      if (this.#isHeld || this.#isPaused) {
        this.#isHeld = false;
        this.resumeReading();
      }
      return;
    }
    this.#end(reason);
    this.cut();
  }

  // The request's body, on its way into the connection.

  abstract send(bytes: Uint8Array): boolean;
  abstract sendEnd(trailers: FieldLines): void;

  sendFailed(error: MeshError): void {
    const failure = uploadFailure(error);
    this.broke(failure);
    this.cut(failure);
  }

  // What the pool and the connection say.

  /** Ends it. Also where `request` has not returned. */
  failLater(error: HttpError): void {
    queueMicrotask(() => this.broke(error));
  }

  /** It will have no response, or not all of it. */
  broke(error: HttpError): void {
    const phase = this.#phase;
    if (phase === 'over') {
      return;
    }
    const sink = this.#sink;
    this.#end(error);
    if (phase === 'answered') {
      this.#tellReader(error);
    } else {
      sink?.onFailed(error);
    }
  }

  /** It waits no more, or again. */
  protected moveTo(phase: 'waiting' | 'sent'): void {
    this.#phase = phase;
  }

  /** Sends the request's body, which there is. */
  protected upload(body: BodySource): void {
    const upload = new Upload(body, this);
    this.#upload = upload;
    upload.start();
  }

  /** The connection takes more. */
  protected drained(): void {
    this.#upload?.drained();
  }

  /** The request was not sent whole. */
  protected get isUploading(): boolean {
    return this.#upload !== undefined && !this.#upload.isOver;
  }

  protected answered(response: TryResponse): void {
    this.#phase = 'answered';
    this.#isEmpty = response.isEmpty;
    this.#sink?.onResponse(response);
    if (this.#reader === undefined && this.#phase === 'answered') {
      this.#isHeld = true;
      this.pauseReading();
    }
  }

  protected gotData(bytes: Uint8Array): void {
    this.#reader?.onData(bytes);
  }

  /** The response is whole. */
  protected finish(trailers: FieldLines): void {
    const reader = this.#reader;
    this.#end(undefined);
    reader?.onEnd(trailers);
  }

  /** It waits for a connection no more. */
  protected abstract leave(): void;
  /** Nobody wants the connection, or the stream, to go on. */
  protected abstract cut(reason?: HttpError): void;
  protected abstract pauseReading(): void;
  protected abstract resumeReading(): void;

  #end(reason: MeshError | undefined): void {
    this.#phase = 'over';
    this.#sink = undefined;
    if (this.#upload === undefined) {
      this.request.body?.cancel(reason);
    } else {
      this.#upload.stop(reason);
    }
  }

  #tellReader(error: HttpError): void {
    if (this.#reader === undefined) {
      this.#failure = error;
    } else {
      this.#reader.onFailed(error);
    }
  }
}
