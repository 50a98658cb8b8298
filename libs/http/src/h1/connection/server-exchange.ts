/**
 * One request of a client and its one answer, in pieces: what the engine holds while it works on it.
 *
 * Rule: it answers once, whole or begun and ended; after `onGone`, or its end, nothing that is called has an effect.
 */

import type { MeshError } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import { encodeResponseHead } from '../encode/head.ts';
import { framingOf } from '../encode/response-framing.ts';
import { H1Error } from '../errors.ts';
import { type FieldLines, type H1RequestHead, NO_FIELDS } from '../message.ts';
import type { H1ServerConnection } from './server-connection.ts';

/** What a request's receiver is told. Nothing after `onGone`; no body after the answer is whole. */
export interface RequestSink {
  onData(bytes: Uint8Array): void;
  /** The request is whole. */
  onEnd(trailers: FieldLines): void;
  /** The answer's `write` said to wait; now it takes more. */
  onDrain(): void;
  /** The client went away, or broke a rule, before the answer was whole. */
  onGone(error: MeshError): void;
}

export interface AnswerHead {
  readonly status: number;
  /** Without those of the hop. */
  readonly fields: FieldLines;
  /** Of the body; undefined: known when it ends. Said to HEAD and with 304 too. */
  readonly length?: number | undefined;
}

type State = 'open' | 'answering' | 'over';

export class ServerExchange {
  readonly head: H1RequestHead;
  readonly #connection: H1ServerConnection;
  #state: State = 'open';
  #isRequestWhole: boolean;
  #hasBody = false;
  #hasContinued = false;
  #isPaused = false;
  #isLast = false;
  #isBodiless = false;
  sink: RequestSink | undefined;

  constructor(connection: H1ServerConnection, head: H1RequestHead) {
    this.#connection = connection;
    this.head = head;
    const { body } = head;
    this.#isRequestWhole = body.kind === 'none' || (body.kind === 'length' && body.bytes === 0);
  }

  /** Something of the answer is sent, or about to be. */
  get hasBegun(): boolean {
    return this.#state !== 'open';
  }

  /** Also where there is no body. */
  get isRequestWhole(): boolean {
    return this.#isRequestWhole;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The client is to send more, and knows it. */
  get awaitsBody(): boolean {
    const isAsked = !this.head.expectsContinue || this.#hasContinued || this.#hasBody;
    return !this.#isRequestWhole && isAsked && this.#state !== 'over';
  }

  /** Holds the body back until `resume`. */
  pause(): void {
    this.#isPaused = true;
    if (this.#state !== 'over') {
      this.#connection.readOn();
    }
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#state !== 'over') {
      this.#connection.readOn();
    }
  }

  /** Tells a client that waits for it to go on (RFC 9110 §10.1.1). Does nothing for others. */
  sendContinue(): void {
    const waits = this.head.expectsContinue && !this.#hasContinued && !this.#hasBody;
    if (waits && this.#state === 'open') {
      this.#hasContinued = true;
      this.#connection.outgoing.interim('HTTP/1.1 100 Continue\r\n\r\n');
    }
  }

  /** A 1xx but 101; 100 is `sendContinue`. Left out for HTTP/1.0 (RFC 9110 §15.2). */
  sendInterim(status: number, fields: FieldLines): void {
    if (status === 100) {
      this.sendContinue();
      return;
    }
    if (status < 102 || status > 199) {
      throw new Error(`${status} is no interim response`);
    }
    if (this.#state === 'open' && this.head.version === '1.1') {
      this.#connection.outgoing.interim(
        encodeResponseHead({ status, fields, body: { kind: 'none' } }),
      );
    }
  }

  /** Begins the answer. Throws H1_UNWRITABLE, and nothing is sent then. */
  begin({ status, fields, length }: AnswerHead): void {
    if (this.#state !== 'open') {
      return;
    }
    const { method, version } = this.head;
    const body = framingOf({ status, method, version, length });
    // A body that is not read to its end leaves nothing behind it that can be told from it.
    const isLast =
      body.kind === 'until-close' ||
      !this.head.keepAlive ||
      method === 'CONNECT' ||
      !this.#isRequestWhole ||
      this.#connection.isLeaving;
    const text = encodeResponseHead({ status, fields, body, contentLength: length, close: isLast });
    this.#state = 'answering';
    this.#isLast = isLast;
    this.#isBodiless = body.kind === 'none';
    this.#connection.outgoing.begin(text, body);
  }

  /** False: wait for `onDrain`. What there is no body for is dropped. Throws H1_UNWRITABLE when it is longer than was said. */
  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'answering' || this.#isBodiless) {
      return true;
    }
    return this.#connection.outgoing.data(bytes);
  }

  /** The answer is whole. Throws H1_UNWRITABLE when it is shorter than was said; then `reset`. */
  end(trailers: FieldLines = NO_FIELDS): void {
    if (this.#state !== 'answering') {
      return;
    }
    this.#connection.outgoing.end(trailers);
    this.#over();
    this.#connection.onAnswered(this.#isLast);
  }

  /** The whole answer at once. */
  respond(head: AnswerHead, body: Uint8Array): void {
    // With 304 it would say that a GET gets nothing.
    this.begin({ ...head, length: head.status === 304 ? undefined : body.length });
    this.write(body);
    this.end();
  }

  /** Cuts an answer that has begun, so that the client does not take it for whole. */
  reset(error?: MeshError): void {
    if (this.#state !== 'over') {
      this.#over();
      // Without a reason the transport would end as if all had been said.
      this.#connection.destroy(error ?? new H1Error('H1_TRUNCATED', 'local'));
    }
  }

  /** Grants the upgrade that the client asked for; gives the connection behind it. Undefined: too late. */
  switchTo(protocol: string, fields: FieldLines): ByteConn | undefined {
    return this.#handOver(
      encodeResponseHead({ status: 101, fields, body: { kind: 'none' }, upgrade: protocol }),
      this.head.upgrade !== undefined,
    );
  }

  /** Grants CONNECT; gives the tunnel. Undefined: too late. */
  openTunnel(fields: FieldLines): ByteConn | undefined {
    return this.#handOver(
      encodeResponseHead({ status: 200, fields, body: { kind: 'none' } }),
      this.head.method === 'CONNECT',
    );
  }

  /** For the connection. */
  attach(sink: RequestSink): void {
    if (this.#state === 'over') {
      return;
    }
    this.sink = sink;
    if (this.#isRequestWhole) {
      sink.onEnd(NO_FIELDS);
    }
  }

  onData(bytes: Uint8Array): void {
    this.#hasBody = true;
    this.sink?.onData(bytes);
  }

  onEnd(trailers: FieldLines): void {
    this.#isRequestWhole = true;
    this.sink?.onEnd(trailers);
  }

  onGone(error: MeshError): void {
    if (this.#state !== 'over') {
      const { sink } = this;
      this.#over();
      sink?.onGone(error);
    }
  }

  #handOver(text: string, isAsked: boolean): ByteConn | undefined {
    if (!isAsked) {
      throw new Error('the client did not ask for that');
    }
    if (this.#state !== 'open') {
      return undefined;
    }
    this.#over();
    this.#connection.outgoing.interim(text);
    return this.#connection.handOver();
  }

  #over(): void {
    this.#state = 'over';
    this.#isPaused = false;
    this.sink = undefined;
  }
}
