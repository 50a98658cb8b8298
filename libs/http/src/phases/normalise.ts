/**
 * Phase 1: a request has one meaning, or it is refused. And it says nothing that only the mesh may say.
 *
 * What is cut here is cut before policies look: nobody gets in by a header that only a waypoint writes.
 */
import { normalizePath } from '@ambit/policy';
import { parseAuthority } from '@ambit/routing';
import { HttpError } from '../errors.ts';
import type { EngineContext, Transaction } from '../transaction.ts';

const REQUEST_ID = /^[!-~]{1,128}$/;
/** Methods have no second spelling: `post` would pass a rule on POST, and HTTP/1 is sent on in capitals. */
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$/;

export function normalise(tx: Transaction, { limits }: EngineContext): undefined {
  const { head } = tx.exchange;
  if (head.version === '1.0') {
    throw refuse('HTTP_VERSION_UNSUPPORTED', 'HTTP/1.0 is not served');
  }
  if (tx.headers.size > limits.headersMax || tx.headers.bytes > limits.headerBytesMax) {
    throw refuse('HTTP_HEADERS_TOO_LARGE', `${tx.headers.size} headers, ${tx.headers.bytes} bytes`);
  }
  if (head.method === 'CONNECT' || !METHOD.test(head.method)) {
    throw refuse('HTTP_METHOD_UNSUPPORTED', `method "${head.method.slice(0, 40)}" is not served`);
  }
  if (parseAuthority(head.authority) === undefined) {
    throw refuse('HTTP_BAD_REQUEST', 'the request has no host, several, or a bad one');
  }
  const target = originForm(head.target, head.authority);
  const normalized = normalizePath(target);
  if (!normalized.ok) {
    throw refuse('HTTP_BAD_REQUEST', normalized.reason);
  }
  tx.path = normalized.path;
  tx.query = normalized.query;
  tx.headers.removeInternal();
  const requestId = tx.headers.get('x-request-id');
  if (requestId !== undefined && REQUEST_ID.test(requestId)) {
    tx.requestId = requestId;
  } else {
    tx.headers.set('x-request-id', tx.requestId);
  }
}

/** An absolute URI must name the same host as Host does, else a rule on hosts could be got around. */
function originForm(target: string, authority: string): string {
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target);
  if (absolute === null) {
    return target;
  }
  const [, host = '', rest = ''] = absolute;
  if (host.toLowerCase() !== authority.toLowerCase()) {
    throw refuse('HTTP_BAD_REQUEST', 'the request URI names another host than the Host header');
  }
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function refuse(code: HttpError['code'], message: string): HttpError {
  return new HttpError(code, message, { side: 'downstream' });
}
