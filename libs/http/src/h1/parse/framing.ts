/**
 * Where a body ends (RFC 9112 §6). One answer, or none: whatever two parsers could answer differently is refused.
 *
 * Stricter than the RFC: Content-Length once and without leading zeros, `chunked` alone and once, and never both, although
 * §6.3 would let a server close after it.
 */
import { type BodyFraming, CHUNKED, type H1Version, NO_BODY, UNTIL_CLOSE } from '../message.ts';
import type { Refuse } from '../scan/scanner.ts';
import type { ReadFields } from './fields.ts';
import { listElements } from './list.ts';

/** 10^15 - 1 bytes is the longest body: every length is an exact number. */
const LENGTH_DIGITS_MAX = 15;
const ZERO = 0x30;
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** What the fields themselves say. Undefined: nothing. Throws. */
export function declaredFraming(
  fields: ReadFields,
  version: H1Version,
  refuse: Refuse,
): BodyFraming | undefined {
  if (fields.transferEncodings > 0) {
    requireChunked(fields, version, refuse);
    return CHUNKED;
  }
  if (fields.contentLengths === 0) {
    return undefined;
  }
  if (fields.contentLengths > 1) {
    // §6.3 item 5 would let equal ones pass; a list in one field is refused as no number.
    throw refuse('H1_CONTENT_LENGTH_REPEATED');
  }
  const bytes = lengthOf(fields.contentLength);
  if (bytes === undefined) {
    throw refuse('H1_CONTENT_LENGTH_INVALID', fields.contentLength);
  }
  return { kind: 'length', bytes };
}

/** Digits, without zeros before them. */
function lengthOf(text: string): number | undefined {
  const isWritten = text.length > 0 && text.length <= LENGTH_DIGITS_MAX;
  if (!isWritten || (text.length > 1 && text.charCodeAt(0) === ZERO)) {
    return undefined;
  }
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) {
      return undefined;
    }
    length = length * 10 + digit;
  }
  return length;
}

function requireChunked(fields: ReadFields, version: H1Version, refuse: Refuse): void {
  const { transferEncoding } = fields;
  if (version === '1.0') {
    // §6.1: the framing of such a message is faulty, whatever it says.
    throw refuse('H1_TRANSFER_ENCODING_IN_HTTP10');
  }
  if (fields.contentLengths > 0) {
    throw refuse('H1_LENGTH_AND_CHUNKED');
  }
  if (fields.transferEncodings > 1) {
    throw refuse('H1_TRANSFER_ENCODING_INVALID');
  }
  // §7: names of codings are case-insensitive.
  if (transferEncoding === 'chunked' || transferEncoding.toLowerCase() === 'chunked') {
    return;
  }
  const codings = listElements(transferEncoding.toLowerCase());
  // §6.1: 501 for a coding that is not known; 400 where the end of the body cannot be told.
  const areTokens = codings.every((coding) => TOKEN.test(coding));
  const at = codings.indexOf('chunked');
  const isOtherThanChunked = at === -1 ? codings.length === 1 : at === codings.length - 1;
  throw refuse(
    areTokens && isOtherThanChunked
      ? 'H1_TRANSFER_ENCODING_UNSUPPORTED'
      : 'H1_TRANSFER_ENCODING_INVALID',
    transferEncoding,
  );
}

/** Throws. */
export function requestFraming(
  method: string,
  fields: ReadFields,
  version: H1Version,
  refuse: Refuse,
): BodyFraming {
  const declared = declaredFraming(fields, version, refuse);
  if (declared === undefined) {
    // §6.3 item 7.
    return NO_BODY;
  }
  // RFC 9110 §9.3.6: a CONNECT has no content, and what follows is the tunnel's. §9.3.8: nor has TRACE.
  const isEmpty = declared.kind === 'length' && declared.bytes === 0;
  if (method === 'CONNECT' || (method === 'TRACE' && !isEmpty)) {
    throw refuse('H1_BODY_NOT_ALLOWED', method);
  }
  return declared;
}

/** `method`: of the request that is answered. Throws. */
export function responseFraming(
  answer: { readonly status: number; readonly method: string; readonly version: H1Version },
  fields: ReadFields,
  refuse: Refuse,
): BodyFraming {
  const { status, method, version } = answer;
  const declared = declaredFraming(fields, version, refuse);
  if (status < 200 || status === 204) {
    // RFC 9110 §8.6, RFC 9112 §6.1: neither field may be there. A length of 0 is what some servers say all the same.
    if (declared !== undefined && !(declared.kind === 'length' && declared.bytes === 0)) {
      throw refuse('H1_BODY_NOT_ALLOWED', `status ${status}`);
    }
    return NO_BODY;
  }
  if (method === 'HEAD' || status === 304) {
    return NO_BODY;
  }
  if (method === 'CONNECT' && status < 300) {
    // §6.3 item 2: a tunnel. A client ignores both fields; here they are one answer too many.
    if (declared !== undefined) {
      throw refuse('H1_BODY_NOT_ALLOWED', 'an answer to CONNECT');
    }
    return NO_BODY;
  }
  return declared ?? UNTIL_CLOSE;
}
