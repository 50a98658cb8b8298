/** A request and the means to answer it (RFC 9113 §8.1). */
import { ERROR } from '../frames/protocol.ts';
import type { DecodedFields } from '../hpack/decoder.ts';
import {
  type BodyLength,
  Malformed,
  type RequestHead,
  type ResponseHead,
  readTrailers,
  responseFields,
} from '../message.ts';
import { Stream } from './stream.ts';
import type { StreamOptions } from './stream-host.ts';

const ACCEPTED_TUNNEL: RequestHead = Object.freeze({
  method: 'CONNECT',
  scheme: undefined,
  path: undefined,
  authority: '',
  fields: [],
});

export class ServerStream extends Stream {
  #request: RequestHead;
  /** False: the request ended with its head. */
  readonly hasBody: boolean;
  #isAnswered = false;
  #stopsClient = false;

  constructor(options: StreamOptions, request: RequestHead & BodyLength, hasBody: boolean) {
    super(options);
    this.#request = request;
    this.hasBody = hasBody;
    this.expectContent(request.contentLength);
  }

  /** Of a tunnel that was accepted nothing but that it is one: it lives for long, and nobody asks for the rest any more. */
  get request(): RequestHead {
    return this.#request;
  }

  /** `respond` was called. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /**
   * The final answer, once and before `write`. With `end` there is no body. False: the stream is over, nothing is
   * sent. Throws H2Error H2_BAD_FIELD, and nothing was sent.
   */
  respond(head: ResponseHead, options: { readonly end?: boolean } = {}): boolean {
    if (this.#isAnswered) {
      throw new Error('respond was called twice');
    }
    if (head.status < 200) {
      throw new RangeError(`${head.status} is no final status`);
    }
    if (this.isClosed) {
      return false;
    }
    const endStream = options.end ?? false;
    const { neverIndexed } = head;
    this.host.sendFields(this, responseFields(head), { endStream, neverIndexed });
    this.#isAnswered = true;
    if (this.#request.method === 'CONNECT' && head.status < 300) {
      this.#request = ACCEPTED_TUNNEL;
    }
    if (endStream) {
      this.endSent();
    }
    return true;
  }

  /** 100 to 199 (but 101), any number of times before `respond`. */
  sendInformational(head: ResponseHead): void {
    if (head.status >= 200 || head.status === 101) {
      throw new RangeError(`${head.status} is no informational status of HTTP/2`);
    }
    if (!this.isClosed && !this.#isAnswered) {
      this.host.sendFields(this, responseFields(head), { endStream: false });
    }
  }

  /**
   * Ends the answer; a client that still sends its request then is asked to stop (§8.1). For who does not read
   * the request to its end: without it the stream stays open until the client gives up.
   */
  endEarly(): void {
    this.#stopsClient = true;
    if (this.hasEnded) {
      this.onEndSent();
    } else {
      this.end();
    }
  }

  protected override onEndSent(): void {
    if (this.#stopsClient && !this.peerEnded) {
      this.reset(ERROR.NO_ERROR);
    }
  }

  override write(chunk: Uint8Array): boolean {
    if (!this.#isAnswered && !this.isClosed) {
      throw new Error('write was called before respond');
    }
    return super.write(chunk);
  }

  /** §8.1: after the request, HEADERS are trailers, and trailers end the stream. §8.5: a tunnel has none. */
  override receiveFields(decoded: DecodedFields, endStream: boolean): Malformed | undefined {
    if (this.request.method === 'CONNECT') {
      return new Malformed('HEADERS inside of a tunnel');
    }
    if (!endStream) {
      return new Malformed('trailers that do not end the stream');
    }
    const trailers = readTrailers(decoded);
    if (trailers instanceof Malformed) {
      return trailers;
    }
    this.receiveTrailers(trailers);
    return undefined;
  }
}
