/**
 * The one request model: what a client asked, and how it is answered, whatever version of HTTP it speaks.
 *
 * Rule: an `Exchange` is one request and its one answer, whole (`respond`) or in pieces (`begin`, `write`, `end`). Once it is
 * over, or the client is gone, nothing that is called has an effect.
 */
import type { MeshError } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import type { BodySource } from './body.ts';
import type { FieldLines } from './h1/message.ts';
import type { HeaderList } from './headers.ts';

export type HttpVersion = '1.0' | '1.1' | '2';

export interface RequestHead {
  readonly version: HttpVersion;
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** `:authority` or Host as sent; empty when neither was. */
  readonly authority: string;
  /** Path and query as sent, in origin form, or `*`. Empty for CONNECT. */
  readonly target: string;
  /** Without pseudo-header fields and Host, and without what concerned this hop alone. */
  readonly fields: FieldLines;
  /** Of the body, where the client said it. */
  readonly contentLength: number | undefined;
  /** The protocols that the client asks to switch to, lower case. */
  readonly upgrade: string | undefined;
  /** Names of fields that came as never indexed, and stay so (RFC 7541 §7.1.3). */
  readonly neverIndexed: readonly string[] | undefined;
}

export interface ResponseHead {
  readonly status: number;
  readonly fields: FieldLines;
  /** Of the body, also where none is sent (HEAD, 304). Undefined: known when it ends. */
  readonly length: number | undefined;
  readonly neverIndexed?: readonly string[] | undefined;
}

/** Who answers an exchange. Neither is called inside a call of the exchange's own methods. */
export interface ExchangeListener {
  /** `write` said to wait; now more is taken. */
  onDrain(): void;
  /** The client went away, or broke a rule, before the answer was whole. Once, and the last call. */
  onGone(error: MeshError): void;
}

export interface Exchange {
  readonly head: RequestHead;
  /** Undefined: the request has no body. */
  readonly body: BodySource | undefined;
  /** Once, before anything else. */
  listen(listener: ExchangeListener): void;
  /** Tells a client that waits with `Expect: 100-continue` to go on. Does nothing for others. */
  sendContinue(): void;
  /** A 1xx but 101, before the answer. */
  sendInterim(status: number, fields: FieldLines): void;
  /** The whole answer. Throws a MeshError, and nothing is sent then. */
  respond(head: ResponseHead, bytes: Uint8Array): void;
  /** Throws a MeshError, and nothing is sent then. */
  begin(head: ResponseHead): void;
  /** False: wait for `onDrain`. Throws a MeshError when the body is longer than was said; then `reset`. */
  write(bytes: Uint8Array): boolean;
  /** The answer is whole. Throws a MeshError when it is shorter than was said; then `reset`. */
  end(trailers: FieldLines): void;
  /** Cuts an answer that has begun, so that the client does not take it for whole. */
  reset(error?: MeshError): void;
  /** Grants the upgrade that was asked for; gives the connection behind it. Undefined: not possible, or too late. */
  switchTo(protocol: string, fields: FieldLines): ByteConn | undefined;
}

/** gRPC, and not gRPC-Web, whose errors travel in the body. */
export function isGrpc(headers: HeaderList): boolean {
  const type = headers.get('content-type');
  if (type?.startsWith('application/grpc') !== true) {
    return false;
  }
  const next = type.charAt('application/grpc'.length);
  return next === '' || next === '+' || next === ';';
}
