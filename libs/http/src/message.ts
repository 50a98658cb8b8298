/**
 * The one request model: what a client asked, and how it is answered, whatever version of HTTP it speaks.
 *
 * An `Exchange` is one request with the means to answer it once. Bodies are Node streams here, because the
 * libraries of this first engine want them; nothing outside the package sees one.
 */
import type { Readable } from 'node:stream';
import type { HeaderList } from './headers.ts';

export type HttpVersion = '1.0' | '1.1' | '2';

export interface RequestHead {
  readonly version: HttpVersion;
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** `:authority` or Host as sent; empty when neither was. */
  readonly authority: string;
  /** Path and query as sent. */
  readonly target: string;
  /** Without pseudo headers and Host. */
  readonly headers: HeaderList;
  /** The protocol that the client asks to switch to, lower case. */
  readonly upgrade?: string;
}

export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderList;
}

export type ResponseBody =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'stream';
      readonly stream: Readable;
      /** Asked when the stream has ended. */
      readonly trailers: () => HeaderList | undefined;
    };

/** How sending an answer ended. */
export type SendResult = 'complete' | 'client-gone' | 'source-failed';

export interface Exchange {
  readonly head: RequestHead;
  /** Absent: the request has no body. */
  readonly body: Readable | undefined;
  /** After the body has ended. */
  readonly requestTrailers: () => HeaderList | undefined;
  /** Aborts when the client went away before the answer was complete. */
  readonly gone: AbortSignal;
  /** Tells a client that waits with `Expect: 100-continue` to go on. Does nothing for others. */
  sendContinue(): void;
  /** Answers. At most once. Never rejects. */
  respond(head: ResponseHead, body: ResponseBody): Promise<SendResult>;
  /** Cuts an answer that has begun, so that the client does not take it for complete. */
  reset(): void;
}

export const NO_BODY: ResponseBody = { kind: 'bytes', bytes: new Uint8Array(0) };

/** gRPC, and not gRPC-Web, whose errors travel in the body. */
export function isGrpc(headers: HeaderList): boolean {
  const type = headers.get('content-type') ?? '';
  return type === 'application/grpc' || /^application\/grpc[+;]/.test(type);
}
