/** A request of ours and what comes back (RFC 9113 §8.1). */
import type { MeshError } from '@ambit/core';
import type { DecodedFields } from '../hpack/decoder.ts';
import { Malformed, type ResponseHead, readResponse, readTrailers } from '../message.ts';
import { Stream } from './stream.ts';
import type { StreamOptions } from './stream-host.ts';

/** Where the answer goes. Its body goes to the sink given to `start`, which may be called later. */
export interface ResponseSink {
  /** 1xx. */
  onInformational?(head: ResponseHead): void;
  /** Once. `hasEnded`: there is no body and there are no trailers. */
  onResponse(head: ResponseHead, hasEnded: boolean): void;
  /** Instead of `onResponse`: the stream was over before. Without error: `reset` or `destroy` without reason. */
  onNoResponse(error: MeshError | undefined): void;
}

export class ClientStream extends Stream {
  readonly #method: string;
  #sink: ResponseSink | undefined;
  #isAnswered = false;
  /** §8.5: of a CONNECT that was accepted. */
  #isTunnel = false;

  constructor(options: StreamOptions, method: string, sink: ResponseSink) {
    super(options);
    this.#method = method;
    this.#sink = sink;
  }

  /** The final answer has come. It is the sink's: what a tunnel was answered is not kept for as long as the tunnel. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  override receiveFields(decoded: DecodedFields, endStream: boolean): Malformed | undefined {
    if (this.#isAnswered) {
      // §8.5: a tunnel has no trailers.
      return this.#isTunnel
        ? new Malformed('HEADERS inside of a tunnel')
        : this.#receiveTrailers(decoded, endStream);
    }
    const head = readResponse(decoded);
    if (head instanceof Malformed) {
      return head;
    }
    if (head.status < 200) {
      if (endStream) {
        return new Malformed('an informational response that ends the stream');
      }
      this.#sink?.onInformational?.(head);
      return undefined;
    }
    const isTunnel = this.#method === 'CONNECT' && head.status < 300;
    const isBare = this.#method === 'HEAD' || head.status === 304 || head.status === 204;
    if (endStream && !isBare && !isTunnel && (head.contentLength ?? 0) > 0) {
      return new Malformed('content-length of a response without any');
    }
    this.#isAnswered = true;
    this.#isTunnel = isTunnel;
    // RFC 9110 §8.6: these say how long the content would be.
    this.expectContent(isBare ? 0 : isTunnel ? undefined : head.contentLength);
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.onResponse(head, endStream);
    return undefined;
  }

  /** §8.1: DATA comes after HEADERS. */
  override receiveData(piece: Uint8Array): boolean {
    return this.#isAnswered && super.receiveData(piece);
  }

  override receiveEnd(): boolean {
    return this.#isAnswered && super.receiveEnd();
  }

  protected override onOver(error: MeshError | undefined): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.onNoResponse(error);
  }

  #receiveTrailers(decoded: DecodedFields, endStream: boolean): Malformed | undefined {
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
