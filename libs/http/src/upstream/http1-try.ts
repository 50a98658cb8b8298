/** A try on a connection of HTTP/1. */
import { MeshError } from '@ambit/core';
import type { HttpError } from '../errors.ts';
import type { H1ClientConnection, ResponseSink } from '../h1/connection/client-connection.ts';
import { withoutHopByHop } from '../h1/encode/hop-by-hop.ts';
import {
  type BodyFraming,
  CHUNKED,
  type FieldLines,
  type H1ResponseHead,
  NO_BODY,
} from '../h1/message.ts';
import { HeaderList } from '../headers.ts';
import { brokenHttp1, unsendable } from './breaks.ts';
import { connectFailure } from './failure.ts';
import type { UpstreamLink } from './message.ts';
import { PooledTry } from './pooled-try.ts';
import { http1Fields, requireBody } from './request-fields.ts';
import type { TryRequest, TrySink, UpgradeSink } from './try.ts';

/** A server may close an idle connection at any moment, or vanish; only these may then be sent again unasked (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'TRACE',
]);

/** The pool, as a try sees it. */
export interface Http1Host {
  /** It is to be sent again, on a new connection. */
  again(attempt: Http1Try): void;
  /** It does not wait for a connection any more. */
  leave(attempt: Http1Try): void;
}

export interface Http1TryOptions {
  readonly host: Http1Host;
  readonly link: UpstreamLink;
  readonly request: TryRequest;
  readonly sink: TrySink;
  /** With the protocol that is asked for in Upgrade. */
  readonly upgrade?: { readonly protocol: string; readonly sink: UpgradeSink };
}

export class Http1Try extends PooledTry implements ResponseSink {
  readonly #host: Http1Host;
  readonly #upgrade: Http1TryOptions['upgrade'];
  #connection: H1ClientConnection | undefined;
  /** The connection has carried requests before this one. */
  #isReused = false;
  #isRepeat = false;
  /** The head of a 101. */
  #switch: H1ResponseHead | undefined;
  /** For the pool: its own dial, while that goes on. */
  dial: AbortController | undefined;

  constructor({ host, link, request, sink, upgrade }: Http1TryOptions) {
    super(link, request, sink);
    this.#host = host;
    this.#upgrade = upgrade;
  }

  /** None of the idle connections will do. */
  get wantsNew(): boolean {
    return this.#isRepeat || this.#upgrade !== undefined;
  }

  /** `closes`: no other request will follow. False: the request cannot be written, and the connection is as free as it was. */
  begin(connection: H1ClientConnection, closes: boolean): boolean {
    const { request } = this;
    const { body } = request;
    this.#connection = connection;
    this.#isReused = connection.uses > 0;
    this.moveTo('sent');
    try {
      requireBody(request);
      connection.request(
        {
          method: request.method,
          target: request.path,
          authority: request.authority,
          fields: http1Fields(request.headers),
          body: framingOf(request),
          upgrade: this.#upgrade?.protocol,
          close: closes,
        },
        this,
      );
    } catch (error) {
      this.failLater(unsendable(toError(error)));
      return false;
    }
    if (body === undefined) {
      connection.end();
    } else {
      this.upload(body);
    }
    return true;
  }

  // What the connection says.

  onInterim(head: H1ResponseHead): void {
    this.sink?.onInterim?.(head.status, headersOf(head));
  }

  onHead(head: H1ResponseHead): void {
    if (head.status === 101) {
      this.#switch = head;
      return;
    }
    const { status, body, contentLength } = head;
    this.answered({
      status,
      headers: headersOf(head),
      body: this,
      isEmpty: body.kind === 'none' || (body.kind === 'length' && body.bytes === 0),
      contentLength,
    });
  }

  onData(bytes: Uint8Array): void {
    this.gotData(bytes);
  }

  onEnd(trailers: FieldLines): void {
    if (this.#switch === undefined) {
      // It may be another's already.
      this.#connection = undefined;
      this.finish(trailers);
    } else {
      this.#handOver(this.#switch);
    }
  }

  onDrain(): void {
    this.drained();
  }

  onFailed(error: MeshError, hasBegun: boolean): void {
    const mayRepeat = this.phase === 'sent' && !hasBegun && this.#mayRepeat(error);
    if (mayRepeat && this.link.isLate?.() === true) {
      // Its node is gone, it seems: as it would be after another connection had been tried in vain.
      this.broke(connectFailure(error));
      return;
    }
    if (mayRepeat && this.#isReused && !this.#isRepeat) {
      this.#isRepeat = true;
      this.#connection = undefined;
      this.moveTo('waiting');
      this.#host.again(this);
      return;
    }
    this.broke(brokenHttp1(error));
  }

  // The request's body.

  send(bytes: Uint8Array): boolean {
    try {
      return this.#connection?.write(bytes) ?? true;
    } catch (error) {
      this.#unwritable(error);
      return true;
    }
  }

  sendEnd(trailers: FieldLines): void {
    try {
      this.#connection?.end(trailers);
    } catch (error) {
      this.#unwritable(error);
    }
  }

  protected override leave(): void {
    this.#host.leave(this);
  }

  protected override cut(reason?: HttpError): void {
    this.#connection?.destroy(reason);
  }

  protected override pauseReading(): void {
    this.#connection?.pause();
  }

  protected override resumeReading(): void {
    this.#connection?.resume();
  }

  /** The connection broke while the request was on its way, or idle: nobody is harmed who gets it twice. */
  #mayRepeat(error: MeshError): boolean {
    return (
      this.request.body === undefined &&
      IDEMPOTENT.has(this.request.method) &&
      brokenHttp1(error).code === 'HTTP_UPSTREAM_CLOSED'
    );
  }

  /** The body does not fit what the head said of it. */
  #unwritable(error: unknown): void {
    const failure = unsendable(toError(error));
    this.broke(failure);
    this.cut(failure);
  }

  #handOver(head: H1ResponseHead): void {
    const conn = this.#connection?.handOver();
    const sink = this.#upgrade?.sink;
    this.finish([]);
    if (conn !== undefined) {
      sink?.onSwitched(head.status, headersOf(head), conn);
    }
  }
}

function framingOf({ body, contentLength }: TryRequest): BodyFraming {
  if (contentLength !== undefined) {
    return { kind: 'length', bytes: contentLength };
  }
  return body === undefined ? NO_BODY : CHUNKED;
}

function headersOf(head: H1ResponseHead): HeaderList {
  return HeaderList.of(withoutHopByHop(head.fields, head.connection));
}

function toError(error: unknown): Error {
  if (!(error instanceof MeshError)) {
    throw error;
  }
  return error;
}
