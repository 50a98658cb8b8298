/** How the body of a response is framed for the client that gets it (RFC 9112 §6.1, §6.3). */
import { type BodyFraming, CHUNKED, type H1Version, NO_BODY, UNTIL_CLOSE } from '../message.ts';

export interface FramedResponse {
  readonly status: number;
  /** Of the request that is answered. */
  readonly method: string;
  /** Of the client. */
  readonly version: H1Version;
  /** Of the body; undefined: known only when it is over. */
  readonly length: number | undefined;
}

export function framingOf({ status, method, version, length }: FramedResponse): BodyFraming {
  const isBodiless = status < 200 || status === 204 || status === 304;
  if (isBodiless || method === 'HEAD' || (method === 'CONNECT' && status < 300)) {
    return NO_BODY;
  }
  if (length !== undefined) {
    return { kind: 'length', bytes: length };
  }
  return version === '1.1' ? CHUNKED : UNTIL_CLOSE;
}
