/** A try on a stream of HTTP/2. */
import { MeshError } from '@ambit/core';
import {
  type ClientSession,
  type ClientStream,
  ERROR,
  type Fields,
  H2Error,
  type ResponseHead,
  type ResponseSink,
  type StreamSink,
} from '@ambit/h2';
import type { HttpError } from '../errors.ts';
import { isForbiddenTrailer } from '../h1/body/trailers.ts';
import { H1_LIMITS } from '../h1/limits.ts';
import { type FieldLines, NO_FIELDS } from '../h1/message.ts';
import { HeaderList } from '../headers.ts';
import { brokenHttp2, unreadable, unsendable } from './breaks.ts';
import type { UpstreamLink } from './message.ts';
import { PooledTry } from './pooled-try.ts';
import { contentLengthOf, http2Fields, requireBody } from './request-fields.ts';
import type { TryRequest, TrySink } from './try.ts';

/** The pool, as a try sees it. */
export interface Http2Host {
  /** More interim answers came than are taken. */
  interimsRefused: number;
  /** It is to be sent again. */
  again(attempt: Http2Try): void;
  /** It does not wait for a session any more. */
  leave(attempt: Http2Try): void;
}

export class Http2Try extends PooledTry implements ResponseSink, StreamSink {
  readonly #host: Http2Host;
  #stream: ClientStream | undefined;
  #interims = 0;
  #isRepeat = false;

  constructor(options: {
    readonly host: Http2Host;
    readonly link: UpstreamLink;
    readonly request: TryRequest;
    readonly sink: TrySink;
  }) {
    super(options.link, options.request, options.sink);
    this.#host = options.host;
  }

  /** Undefined: nothing was sent, because the session takes no more, or, when it is over now, because it cannot be written. */
  begin(session: ClientSession): ClientStream | undefined {
    const { method, scheme, authority, path, headers, body, contentLength } = this.request;
    let stream: ClientStream;
    try {
      requireBody(this.request);
      const fields = http2Fields(headers, contentLength);
      const { neverIndexed } = headers;
      stream = session.request({ method, scheme, authority, path, fields, neverIndexed }, this, {
        endStream: body === undefined,
      });
    } catch (error) {
      if (!(error instanceof MeshError)) {
        throw error;
      }
      if (!(error instanceof H2Error) || error.code === 'H2_BAD_FIELD') {
        this.moveTo('sent');
        this.failLater(unsendable(error));
      }
      return undefined;
    }
    this.#stream = stream;
    this.moveTo('sent');
    stream.start(this);
    if (body !== undefined) {
      this.upload(body);
    }
    return stream;
  }

  // What the stream says.

  onInformational({ status, fields, neverIndexed }: ResponseHead): void {
    this.#interims += 1;
    if (this.#interims <= H1_LIMITS.interimMax) {
      this.sink?.onInterim?.(status, HeaderList.of(fields, neverIndexed));
    } else if (this.phase === 'sent') {
      this.#host.interimsRefused += 1;
      const failure = unreadable(new Error('too many interim responses'));
      this.broke(failure);
      this.cut(failure);
    }
  }

  onResponse(head: ResponseHead, hasEnded: boolean): void {
    const { status, fields, neverIndexed } = head;
    this.answered({
      status,
      headers: HeaderList.of(fields, neverIndexed),
      body: this,
      isEmpty: hasEnded,
      contentLength: contentLengthOf(fields),
    });
  }

  onNoResponse(error: MeshError | undefined): void {
    this.#broken(error);
  }

  onData(chunk: Uint8Array): void {
    this.gotData(chunk);
  }

  onEnd(): void {
    if (this.phase !== 'answered') {
      return;
    }
    // RFC 9113 §8.1: a server that answers early does not want the rest.
    const isEarly = this.isUploading;
    this.finish(readTrailers(this.#stream?.trailers));
    if (isEarly) {
      this.cut();
    }
  }

  onDrain(): void {
    this.drained();
  }

  onClose(error?: Error): void {
    this.#broken(error instanceof MeshError ? error : undefined);
  }

  // The request's body.

  send(bytes: Uint8Array): boolean {
    return this.#stream?.write(bytes) ?? true;
  }

  sendEnd(trailers: FieldLines): void {
    try {
      this.#stream?.sendTrailers(allowedOf(trailers));
    } catch (error) {
      if (!(error instanceof H2Error)) {
        throw error;
      }
      const failure = unsendable(error);
      this.broke(failure);
      this.cut(failure);
    }
  }

  protected override leave(): void {
    this.#host.leave(this);
  }

  protected override cut(reason?: HttpError): void {
    this.#stream?.reset(ERROR.CANCEL, reason);
  }

  protected override pauseReading(): void {
    this.#stream?.pause();
  }

  protected override resumeReading(): void {
    this.#stream?.resume();
  }

  #broken(error: MeshError | undefined): void {
    // Of a stream before, when it waits.
    if (this.phase === 'over' || this.phase === 'waiting') {
      return;
    }
    const failure = brokenHttp2(error, this.#stream?.resetCode);
    if (failure.refused && this.phase === 'sent' && this.#mayRepeat()) {
      this.#isRepeat = true;
      this.#stream = undefined;
      this.moveTo('waiting');
      this.#host.again(this);
    } else {
      this.broke(failure);
    }
  }

  /**
   * The peer has processed nothing of it (RFC 9113 §8.7), so nobody is harmed whatever the method: once, and only where nothing of a
   * body is gone.
   */
  #mayRepeat(): boolean {
    return !this.#isRepeat && this.request.body === undefined;
  }
}

function readTrailers(fields: Fields | undefined): FieldLines {
  return fields === undefined ? NO_FIELDS : allowedOf(fields);
}

/** Without what would be read as a part of the head. */
function allowedOf(trailers: FieldLines): FieldLines {
  const kept: string[] = [];
  for (let index = 0; index < trailers.length; index += 2) {
    const name = trailers[index] ?? '';
    if (!isForbiddenTrailer(name)) {
      kept.push(name, trailers[index + 1] ?? '');
    }
  }
  return kept.length === 0 ? NO_FIELDS : kept;
}
