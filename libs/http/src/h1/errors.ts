/**
 * Every way in which HTTP/1 bytes can be wrong, in one table: what a client is told, and what a person reads.
 *
 * Rule: after one of these the connection carries no further message. What follows on it could be read in two ways.
 */
import { type ErrorSide, MeshError } from '@ambit/core';

/** Status, and the sentence of the error. */
const REFUSALS = {
  H1_METHOD_INVALID: [400, 'the method is not a token in capitals'],
  H1_METHOD_TOO_LONG: [501, 'the method is longer than any that is known'],
  H1_START_LINE_INVALID: [
    400,
    'the first line is not method, target and version with one space between',
  ],
  H1_TARGET_INVALID: [400, 'the request target has no single meaning'],
  H1_TARGET_TOO_LONG: [414, 'the request target is too long'],
  H1_VERSION_INVALID: [400, 'the first line does not name a version of HTTP'],
  H1_VERSION_UNSUPPORTED: [505, 'neither HTTP/1.0 nor HTTP/1.1'],
  H1_HTTP09: [505, 'a request of HTTP/0.9'],
  H1_HTTP2_PREFACE: [505, 'the preface of HTTP/2 where HTTP/1.1 is spoken'],
  H1_STATUS_INVALID: [502, 'the status is not three digits from 100 to 599'],
  H1_BARE_LF: [400, 'a line ends in LF without CR'],
  H1_BARE_CR: [400, 'CR without LF'],
  H1_OBS_FOLD: [400, 'a header line begins with white space'],
  H1_FIELD_NAME_EMPTY: [400, 'a header line without a name'],
  H1_FIELD_NAME_INVALID: [400, 'a byte that no field name may have'],
  H1_FIELD_NAME_CONFUSABLE: [
    400,
    'a field name that some servers read as one that frames the message',
  ],
  H1_FIELD_SPACE_BEFORE_COLON: [400, 'white space between a field name and its colon'],
  H1_FIELD_NO_COLON: [400, 'a header line without a colon'],
  H1_FIELD_VALUE_INVALID: [400, 'a control byte in a field value'],
  H1_FIELDS_TOO_LARGE: [431, 'the header section is too large'],
  H1_FIELDS_TOO_MANY: [431, 'too many header fields'],
  H1_HOST_MISSING: [400, 'a request without Host'],
  H1_HOST_REPEATED: [400, 'more than one Host'],
  H1_HOST_INVALID: [400, 'Host is not a name or an address with an optional port'],
  H1_HOST_MISMATCH: [400, 'the request target names another host than Host'],
  H1_CONNECTION_INVALID: [400, 'Connection is not a list of options that a hop may have'],
  H1_EXPECT_UNSUPPORTED: [417, 'an expectation other than 100-continue'],
  H1_CONTENT_LENGTH_INVALID: [400, 'Content-Length is not a plain decimal number'],
  H1_CONTENT_LENGTH_REPEATED: [400, 'more than one Content-Length'],
  H1_LENGTH_AND_CHUNKED: [400, 'both Content-Length and Transfer-Encoding'],
  H1_TRANSFER_ENCODING_INVALID: [400, 'Transfer-Encoding does not end in chunked, once'],
  H1_TRANSFER_ENCODING_UNSUPPORTED: [501, 'a transfer coding other than chunked'],
  H1_TRANSFER_ENCODING_IN_HTTP10: [400, 'Transfer-Encoding in a message of HTTP/1.0'],
  H1_BODY_NOT_ALLOWED: [400, 'a body where there can be none'],
  H1_BODY_TOO_LARGE: [413, 'the body is too large'],
  H1_CHUNK_SIZE_INVALID: [400, 'the size of a chunk is not hexadecimal digits alone'],
  H1_CHUNK_SIZE_TOO_LONG: [400, 'the size of a chunk has too many digits'],
  H1_CHUNK_EXTENSION_INVALID: [400, 'a control byte in a chunk extension'],
  H1_CHUNK_EXTENSION_TOO_LONG: [400, 'too many bytes of chunk extensions'],
  H1_CHUNK_END_INVALID: [400, 'a chunk is longer than its size says'],
  H1_TRAILERS_TOO_LARGE: [431, 'the trailer section is too large'],
  H1_TRAILERS_TOO_MANY: [431, 'too many trailer fields'],
  H1_TRAILER_FORBIDDEN: [400, 'a field that may not come after the body'],
  H1_TRUNCATED: [400, 'the connection ended inside a message'],
  H1_HELD_TOO_MUCH: [400, 'more bytes than can wait until they are read'],
  H1_INTERIM_TOO_MANY: [502, 'too many interim responses'],
  H1_UNSOLICITED: [502, 'bytes of a response that nothing was asked for'],
  H1_SWITCH_UNEXPECTED: [502, '101 to a protocol that was not asked for'],
  H1_HEAD_TIMEOUT: [408, 'the head did not come in time'],
  H1_BODY_TIMEOUT: [408, 'the body comes too slowly'],
  H1_WRITE_TIMEOUT: [408, 'the peer does not take what is sent'],
  H1_PEER_GONE: [400, 'the peer went away inside an exchange'],
  /** Ours: something that would not be read back as it was meant. Never written. */
  H1_UNWRITABLE: [500, 'a message that cannot be written as it is meant'],
} as const satisfies Readonly<Record<string, readonly [number, string]>>;

export type H1ErrorCode = keyof typeof REFUSALS;

export const H1_ERROR_CODES: readonly H1ErrorCode[] = Object.keys(REFUSALS) as H1ErrorCode[];

const DETAIL_CHARS_MAX = 80;

export class H1Error extends MeshError<H1ErrorCode> {
  override readonly name = 'H1Error';
  /** What a client is answered. For an upstream's response always 502. */
  readonly status: number;

  /** `detail`: a part of the message, cut to 80 characters in the text. */
  constructor(code: H1ErrorCode, side: ErrorSide, detail?: string) {
    const [status, text] = REFUSALS[code];
    super(code, detail === undefined ? text : `${text}: ${quote(detail)}`, { side });
    this.status = side === 'upstream' ? 502 : status;
  }
}

function quote(detail: string): string {
  return JSON.stringify(detail.slice(0, DETAIL_CHARS_MAX));
}

/** How often each code was given. Shared by the decoders of a process; bounded by the table. */
export class H1Refusals {
  readonly #counts = new Map<H1ErrorCode, number>();

  count(code: H1ErrorCode): void {
    this.#counts.set(code, this.of(code) + 1);
  }

  of(code: H1ErrorCode): number {
    return this.#counts.get(code) ?? 0;
  }

  *[Symbol.iterator](): Generator<readonly [H1ErrorCode, number]> {
    yield* this.#counts;
  }
}
