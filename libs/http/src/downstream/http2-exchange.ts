/** One stream of an HTTP/2 client in the one request model. */
import type { MeshError, Roster, RosterMember } from '@ambit/core';
import { ERROR, type ServerStream, type StreamSink } from '@ambit/h2';
import { type ByteConn, ProxyError } from '@ambit/proxy';
import type { BodySink, BodySource } from '../body.ts';
import { withoutHopByHop } from '../h1/encode/hop-by-hop.ts';
import { H1Error } from '../h1/errors.ts';
import { type FieldLines, fieldValue, NO_FIELDS } from '../h1/message.ts';
import type { Exchange, ExchangeListener, RequestHead, ResponseHead } from '../message.ts';

const NO_CONNECTION: readonly string[] = Object.freeze([]);

export class Http2Exchange implements Exchange, BodySource, StreamSink, RosterMember {
  rosterSlot = -1;
  readonly head: RequestHead;
  readonly body: BodySource | undefined;
  /** When the slowness of the body was looked at last. */
  windowAt = 0;
  readonly #stream: ServerStream;
  readonly #awaited: Roster<Http2Exchange>;
  #listener: ExchangeListener | undefined;
  #sink: BodySink | undefined;
  #trailers: FieldLines = NO_FIELDS;
  #isStarted = false;
  #isPaused = false;
  #isOver = false;
  #isBodiless = false;
  #hasBegun = false;
  #hasContinued = false;
  #windowBytes = 0;

  /** It is in `awaited` while the request's body is not whole. */
  constructor(stream: ServerStream, awaited: Roster<Http2Exchange>) {
    const { request } = stream;
    const length = fieldValue(request.fields, 'content-length');
    this.#stream = stream;
    this.#awaited = awaited;
    this.head = {
      version: '2',
      method: request.method,
      scheme: request.scheme === 'https' ? 'https' : 'http',
      authority: request.authority,
      target: request.path ?? '',
      fields: withoutHost(withoutHopByHop(request.fields, NO_CONNECTION)),
      contentLength: length === undefined ? undefined : Number.parseInt(length, 10),
      upgrade: undefined,
      neverIndexed: request.neverIndexed,
    };
    this.body = stream.hasBody ? this : undefined;
    if (stream.hasBody) {
      awaited.add(this);
    }
  }

  listen(listener: ExchangeListener): void {
    this.#listener = listener;
    this.#stream.whenClosed((error) => this.#onClosed(error));
  }

  /** Somebody waits for the body and it is not whole. */
  get awaitsBody(): boolean {
    return !this.#isOver && !this.#stream.peerEnded && !this.#stream.isClosed;
  }

  /**
   * A body that brought nothing since the window began, although it was wanted, is not waited for. Once the answer has begun, and in
   * calls of gRPC, both talk to each other, and may be silent for as long as they like.
   */
  endWindow(nowMs: number): void {
    const isWanted = this.#sink !== undefined && !this.#isPaused;
    if (this.#windowBytes === 0 && isWanted && !this.#hasBegun && !this.#isGrpc()) {
      const error = new H1Error('H1_BODY_TIMEOUT', 'downstream');
      this.#stream.reset(ERROR.CANCEL, error);
    }
    this.#windowBytes = 0;
    this.windowAt = nowMs;
  }

  sendContinue(): void {
    const expects = fieldValue(this.head.fields, 'expect')?.toLowerCase() === '100-continue';
    if (expects && !this.#hasContinued) {
      this.#hasContinued = true;
      this.#stream.sendInformational({ status: 100, fields: NO_FIELDS });
    }
  }

  sendInterim(status: number, fields: FieldLines): void {
    if (status === 100) {
      this.sendContinue();
    } else {
      this.#stream.sendInformational({ status, fields });
    }
  }

  respond(head: ResponseHead, bytes: Uint8Array): void {
    if (bytes.length > 0 && this.head.method !== 'HEAD') {
      this.begin(head);
      this.write(bytes);
      this.end(NO_FIELDS);
      return;
    }
    if (!this.#isOver) {
      this.#stream.respond(this.#withLength(head), { end: true });
      this.#over();
      this.#stream.endEarly();
    }
  }

  begin(head: ResponseHead): void {
    if (!this.#isOver) {
      this.#hasBegun = true;
      this.#isBodiless = this.head.method === 'HEAD' || head.status === 204 || head.status === 304;
      this.#stream.respond(this.#withLength(head));
    }
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isOver || this.#isBodiless || this.#stream.write(bytes)) {
      return true;
    }
    // Who reads nothing of the stream is told nothing of it.
    if (!this.#isStarted) {
      this.#stream.pause();
      this.#start();
    }
    return false;
  }

  end(trailers: FieldLines): void {
    if (!this.#isOver) {
      this.#over();
      if (trailers.length > 0) {
        this.#stream.sendTrailers(trailers);
      }
      this.#stream.endEarly();
    }
  }

  reset(error?: MeshError): void {
    this.#over();
    this.#stream.reset(ERROR.INTERNAL_ERROR, error);
  }

  /** RFC 8441 is not spoken. */
  switchTo(): ByteConn | undefined {
    return undefined;
  }

  start(sink: BodySink): void {
    this.#sink = sink;
    if (this.#isStarted) {
      this.#stream.resume();
    } else {
      this.#start();
    }
  }

  pause(): void {
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#stream.resume();
  }

  /** The window stays closed; the end of the answer asks the client to stop. */
  cancel(): void {
    this.#sink = undefined;
    this.#stream.pause();
  }

  onData(chunk: Uint8Array): void {
    this.#windowBytes += chunk.length;
    this.#sink?.onData(chunk);
  }

  onTrailers(fields: FieldLines): void {
    this.#trailers = fields;
  }

  onEnd(): void {
    this.#awaited.delete(this);
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.onEnd(this.#trailers);
  }

  onDrain(): void {
    this.#listener?.onDrain();
  }

  onClose(error?: Error): void {
    this.#fail(error);
  }

  #isGrpc(): boolean {
    return fieldValue(this.head.fields, 'content-type')?.startsWith('application/grpc') === true;
  }

  #start(): void {
    this.#isStarted = true;
    this.#stream.start(this);
  }

  #withLength(head: ResponseHead): ResponseHead {
    const { length, status, fields } = head;
    return length === undefined ||
      status === 204 ||
      fieldValue(fields, 'content-length') !== undefined
      ? head
      : { ...head, fields: [...fields, 'content-length', String(length)] };
  }

  #over(): void {
    this.#awaited.delete(this);
    this.#isOver = true;
    this.#listener = undefined;
    this.#sink = undefined;
  }

  #onClosed(error: MeshError | undefined): void {
    this.#awaited.delete(this);
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.onGone(error ?? GONE);
    // What came whole before is still read to its end.
    if (!this.#stream.peerEnded) {
      this.#fail(error);
    }
  }

  #fail(error: Error | undefined): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.onFailed(
      error instanceof ProxyError || error === undefined ? GONE : (error as MeshError),
    );
  }
}

/** One for all: streams are taken back by the thousand. */
const GONE = new ProxyError('PROXY_PEER_GONE', 'the client took the stream back', {
  side: 'downstream',
});

/** Without Host, which the head has. */
function withoutHost(fields: FieldLines): FieldLines {
  for (let index = 0; index < fields.length; index += 2) {
    if (fields[index] === 'host') {
      // A request with two was refused.
      return [...fields.slice(0, index), ...fields.slice(index + 2)];
    }
  }
  return fields;
}
