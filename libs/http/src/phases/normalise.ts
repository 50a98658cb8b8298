/** Phase `normalise`: a request has one meaning, or it is refused. */
import { isServedMethod } from '@ambit/api';
import { normalizePath } from '@ambit/policy';
import { parseAuthority } from '@ambit/routing';
import { HttpError } from '../errors.ts';
import type { EngineContext, Transaction } from '../transaction.ts';

const AUTHORITIES_MAX = 1_024;

export function normalise(tx: Transaction, { limits }: EngineContext): undefined {
  const { head } = tx.exchange;
  const { headers } = tx;
  if (head.version === '1.0') {
    throw refuse('HTTP_VERSION_UNSUPPORTED', 'HTTP/1.0 is not served');
  }
  if (headers.size > limits.headersMax || headers.bytes > limits.headerBytesMax) {
    throw refuse('HTTP_HEADERS_TOO_LARGE', `${headers.size} headers, ${headers.bytes} bytes`);
  }
  if (!isServedMethod(head.method)) {
    throw refuse('HTTP_METHOD_UNSUPPORTED', `method "${head.method.slice(0, 40)}" is not served`);
  }
  if (!isKnownGood(head.authority)) {
    throw refuse('HTTP_BAD_REQUEST', 'the request has no host, several, or a bad one');
  }
  // As in HTTP/1: servers that make variables of names take them for what frames the message, and we write that ourselves.
  if (head.version === '2' && (headers.has('content_length') || headers.has('transfer_encoding'))) {
    throw refuse('HTTP_BAD_REQUEST', 'a field is named like one that frames the message');
  }
  const normalized = normalizePath(head.target);
  if (!normalized.ok) {
    throw refuse('HTTP_BAD_REQUEST', normalized.reason);
  }
  // RFC 9110 §9.3.7: the whole server, which no rule about paths is about.
  if (normalized.path === '*' && head.method !== 'OPTIONS') {
    throw refuse('HTTP_BAD_REQUEST', 'the path * is for OPTIONS alone');
  }
  headers.joinCookies();
  tx.path = normalized.path;
  tx.query = normalized.query;
}

/** Hosts that were read lately; there are few, and each is asked for often. */
const known = new Set<string>();
let last = '';

function isKnownGood(authority: string): boolean {
  if (authority === last || known.has(authority)) {
    last = authority;
    return authority !== '';
  }
  if (parseAuthority(authority) === undefined) {
    return false;
  }
  if (known.size >= AUTHORITIES_MAX) {
    known.clear();
  }
  known.add(authority);
  return true;
}

function refuse(code: HttpError['code'], message: string): HttpError {
  return new HttpError(code, message, { side: 'downstream' });
}
