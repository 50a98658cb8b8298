/**
 * HTTP/1 messages as values: what a decoder gives and an encoder takes.
 *
 * Header fields are one flat list, `[name, value, name, value, …]`: names in lower case, values as they were sent, each
 * character one byte (latin1), order and repetition kept. It is never changed; whoever wants another makes another.
 */

/** Name, value, name, value. Names in lower case. */
export type FieldLines = readonly string[];

export const NO_FIELDS: FieldLines = Object.freeze([]);

export type H1Version = '1.0' | '1.1';

/** How the end of a body is known (RFC 9112 §6.3). */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Responses only: the connection ends with it. */
  | { readonly kind: 'until-close' };

export const NO_BODY: BodyFraming = Object.freeze({ kind: 'none' });
export const CHUNKED: BodyFraming = Object.freeze({ kind: 'chunked' });
export const UNTIL_CLOSE: BodyFraming = Object.freeze({ kind: 'until-close' });

/** What this hop alone is told, taken out of the fields once. */
export interface HopFacts {
  /** The options of `Connection`, lower case. */
  readonly connection: readonly string[];
  /** The peer keeps the connection for another message. */
  readonly keepAlive: boolean;
  /** `te: trailers` was sent. */
  readonly takesTrailers: boolean;
  /** The protocols of `Upgrade`, lower case, when `Connection` names it and there is no body (RFC 9110 §7.8). */
  readonly upgrade: string | undefined;
}

export interface H1RequestHead extends HopFacts {
  readonly version: H1Version;
  readonly method: string;
  /** As sent. */
  readonly target: string;
  readonly form: 'origin' | 'absolute' | 'authority' | 'asterisk';
  /** Path and query in origin form, whatever the form of the target; `*`; empty for CONNECT. */
  readonly path: string;
  /** Of Host, which the target agrees with; as spelled. Empty only in HTTP/1.0. */
  readonly authority: string;
  /** All but Host. */
  readonly fields: FieldLines;
  readonly body: BodyFraming;
  /** The client waits for 100 before it sends the body. */
  readonly expectsContinue: boolean;
}

export interface H1ResponseHead extends HopFacts {
  readonly version: H1Version;
  readonly status: number;
  readonly fields: FieldLines;
  readonly body: BodyFraming;
  /** Of Content-Length, also where there is no body (HEAD, 304). */
  readonly contentLength: number | undefined;
}

export type H1Event<Head> =
  | { readonly kind: 'head'; readonly head: Head }
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly trailers: FieldLines };

export type H1RequestEvent = H1Event<H1RequestHead>;
/** An interim response is a 1xx but 101; none, or several, come before the head. */
export type H1ResponseEvent =
  | H1Event<H1ResponseHead>
  | { readonly kind: 'interim'; readonly head: H1ResponseHead };

/** The value of a field; several are joined by a comma (RFC 9110 §5.3). `name` in lower case. */
export function fieldValue(fields: FieldLines, name: string): string | undefined {
  let joined: string | undefined;
  for (let index = 0; index < fields.length; index += 2) {
    if (fields[index] === name) {
      const value = fields[index + 1] ?? '';
      joined = joined === undefined ? value : `${joined}, ${value}`;
    }
  }
  return joined;
}
