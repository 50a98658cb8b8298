/**
 * A connection to a server: one request at a time, each with its response.
 *
 * Rule: it is free for another request only when the one before was sent whole, its response read whole, both said that the
 * connection stays, and nothing came behind. Everything else ends it.
 */
import { MeshError } from '@ambit/core';
import type { ByteConn, ByteSink } from '@ambit/proxy';
import { encodeRequestHead, type RequestToWrite } from '../encode/head.ts';
import { H1Error, type H1Refusals } from '../errors.ts';
import type { H1Limits } from '../limits.ts';
import { type FieldLines, type H1ResponseHead, NO_FIELDS } from '../message.ts';
import { ResponseDecoder } from '../response-decoder.ts';
import { HandedConn } from './handed-conn.ts';
import { Outgoing } from './outgoing.ts';

/** What the sender of a request is told. Nothing after `onEnd` of the response, or `onFailed`. */
export interface ResponseSink {
  /** 1xx but 101. */
  onInterim(head: H1ResponseHead): void;
  onHead(head: H1ResponseHead): void;
  onData(bytes: Uint8Array): void;
  onEnd(trailers: FieldLines): void;
  /** `write` said to wait; now it takes more. */
  onDrain(): void;
  /** `hasBegun`: something of a response has come, so the server has seen the request. */
  onFailed(error: MeshError, hasBegun: boolean): void;
}

export interface ClientConnectionOptions {
  readonly limits?: Partial<H1Limits>;
  readonly refusals?: H1Refusals;
  /** The exchange is over and the connection takes another; its sink hears of the end after this. */
  readonly onFree?: () => void;
  /** Over, or handed over. Once. */
  readonly onClosed?: (error?: Error) => void;
  /** The transport has closed, also after it was handed over. Once. */
  readonly onGone?: () => void;
}

type State = 'idle' | 'busy' | 'handed' | 'closed';

export class H1ClientConnection implements ByteSink {
  readonly conn: ByteConn;
  readonly #options: ClientConnectionOptions;
  readonly #outgoing: Outgoing;
  readonly #decoder: ResponseDecoder;
  #state: State = 'idle';
  #sink: ResponseSink | undefined;
  #handed: HandedConn | undefined;
  #isSent = false;
  #isPaused = false;
  #isPumping = false;
  #closesAfter = false;
  #uses = 0;

  /** Takes over the connection, which nobody has started. */
  constructor(conn: ByteConn, options: ClientConnectionOptions = {}) {
    this.conn = conn;
    this.#options = options;
    this.#outgoing = new Outgoing(conn);
    this.#decoder = new ResponseDecoder(options);
  }

  start(): void {
    this.conn.start(this);
  }

  /** Requests so far. */
  get uses(): number {
    return this.#uses;
  }

  get isFree(): boolean {
    return this.#state === 'idle' && this.#decoder.isReusable;
  }

  /** It was handed over, also when what it became is over. */
  get isHanded(): boolean {
    return this.#state === 'handed';
  }

  /** The head of a response has begun to come, or an interim response came, and the head is not whole. */
  get isReadingHead(): boolean {
    return this.#state === 'busy' && this.#decoder.isReadingHead;
  }

  /** Sends a head; body by `write` and `end`, which is called in the same turn for a request without one. Only where `isFree`. Throws H1_UNWRITABLE. */
  request(request: RequestToWrite, sink: ResponseSink): void {
    if (!this.isFree) {
      throw new Error('the connection is not free');
    }
    const text = encodeRequestHead(request);
    this.#decoder.begin({ method: request.method, upgrade: request.upgrade });
    this.#uses += 1;
    this.#state = 'busy';
    this.#sink = sink;
    this.#isSent = false;
    this.#isPaused = false;
    this.#closesAfter = request.close === true;
    if (request.body.kind === 'none') {
      this.#outgoing.beginBodiless(text);
    } else {
      this.#outgoing.begin(text, request.body);
    }
  }

  /** False: wait for `onDrain`. Throws H1_UNWRITABLE. */
  write(bytes: Uint8Array): boolean {
    return this.#state !== 'busy' || this.#isSent || this.#outgoing.data(bytes);
  }

  /** The request is whole. Throws H1_UNWRITABLE. */
  end(trailers: FieldLines = NO_FIELDS): void {
    if (this.#state === 'busy' && !this.#isSent) {
      this.#outgoing.end(trailers);
      this.#isSent = true;
    }
  }

  /** Holds the response back until `resume`. */
  pause(): void {
    if (this.#state === 'busy' && !this.#isPaused) {
      this.#isPaused = true;
      this.conn.pause();
    }
  }

  resume(): void {
    if (this.#state === 'busy' && this.#isPaused) {
      this.#isPaused = false;
      this.conn.resume();
      this.#run();
    }
  }

  /** After the end of a 101, or of a 2xx to CONNECT: what the connection became. */
  handOver(): ByteConn {
    if (this.#state !== 'busy' || !this.#decoder.isSwitched) {
      throw new Error('the connection is still HTTP');
    }
    this.#outgoing.flush();
    const handed = new HandedConn(this.conn, this.#decoder.takeRest(), this.#decoder.isInputOver);
    this.#handed = handed;
    this.#state = 'handed';
    this.#sink = undefined;
    this.#options.onClosed?.();
    return handed;
  }

  /** Now. Idempotent. */
  destroy(reason?: MeshError): void {
    if (this.#state !== 'handed') {
      this.conn.destroy(reason);
      this.#over(reason);
    }
  }

  onData(chunk: Uint8Array): void {
    if (this.#state === 'handed') {
      this.#handed?.events.onData(chunk);
      return;
    }
    this.#feed(() => this.#decoder.push(chunk));
  }

  onEnd(): void {
    if (this.#state === 'handed') {
      this.#handed?.events.onEnd();
      return;
    }
    this.#feed(() => this.#decoder.end());
    if (this.#state === 'idle') {
      this.destroy();
    }
  }

  onDrain(): void {
    if (this.#state === 'handed') {
      this.#handed?.events.onDrain();
      return;
    }
    this.#outgoing.unblock();
    if (!this.#isSent) {
      this.#sink?.onDrain();
    }
  }

  onClose(error?: Error): void {
    if (this.#state === 'handed') {
      this.#handed?.events.onClose(error);
    } else {
      this.#over(error);
    }
    this.#options.onGone?.();
  }

  #feed(give: () => void): void {
    if (this.#state === 'closed') {
      return;
    }
    try {
      give();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#run();
  }

  #run(): void {
    if (this.#isPumping) {
      return;
    }
    this.#isPumping = true;
    try {
      this.#pump();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isPumping = false;
    }
  }

  #pump(): void {
    while (!this.#isPaused && (this.#state === 'busy' || this.#state === 'idle')) {
      const event = this.#decoder.read();
      switch (event?.kind) {
        case undefined:
          return;
        case 'interim':
          this.#sink?.onInterim(event.head);
          break;
        case 'head':
          this.#sink?.onHead(event.head);
          break;
        case 'data':
          this.#sink?.onData(event.bytes);
          break;
        case 'end':
          this.#answered(event.trailers);
          break;
      }
    }
  }

  #answered(trailers: FieldLines): void {
    const sink = this.#sink;
    if (this.#decoder.isSwitched) {
      sink?.onEnd(trailers);
      // Whoever did not take it over in `onEnd` has no use for it.
      if (this.#state === 'busy') {
        this.#sink = undefined;
        this.destroy();
      }
      return;
    }
    // Before anybody is told: the end of one answer may be what begins the next request.
    this.#sink = undefined;
    this.#state = 'idle';
    if (this.#decoder.heldBytes > 0) {
      this.#options.refusals?.count('H1_UNSOLICITED');
    }
    // A server that answers early does not want the rest (RFC 9112 §9.3).
    if (!this.#isSent || this.#closesAfter || !this.#decoder.isReusable) {
      this.destroy();
    }
    // Whoever keeps it for the next request must have it by then.
    if (this.isFree) {
      this.#options.onFree?.();
    }
    sink?.onEnd(trailers);
  }

  #fail(error: unknown): void {
    if (!(error instanceof H1Error)) {
      throw error;
    }
    this.destroy(error);
  }

  #over(error: Error | undefined): void {
    if (this.#state === 'closed') {
      return;
    }
    const sink = this.#sink;
    const hasBegun = this.#decoder.hasBegun;
    this.#state = 'closed';
    this.#decoder.close();
    this.#sink = undefined;
    this.#options.onClosed?.(error);
    sink?.onFailed(
      error instanceof MeshError ? error : new H1Error('H1_PEER_GONE', 'upstream'),
      hasBegun,
    );
  }
}
