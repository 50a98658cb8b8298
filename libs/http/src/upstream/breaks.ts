/** What went wrong with a try, from what the codecs say. Whether it may be sent again is for who reads `refused` and `headersSent`. */
import { MeshError } from '@ambit/core';
import { ERROR, H2Error, type H2ErrorCode } from '@ambit/h2';
import { HttpError } from '../errors.ts';
import { H1Error, type H1ErrorCode } from '../h1/errors.ts';

const MESSAGE_CHARS_MAX = 200;

/** The server, or the way to it, is gone or too slow; what it said was in order. */
const CLOSED: ReadonlySet<H1ErrorCode> = new Set([
  'H1_PEER_GONE',
  'H1_TRUNCATED',
  'H1_HEAD_TIMEOUT',
  'H1_WRITE_TIMEOUT',
]);
const UNREADABLE: ReadonlySet<H2ErrorCode> = new Set(['H2_PROTOCOL', 'H2_FLOOD']);
const UNSENDABLE: ReadonlySet<H2ErrorCode> = new Set(['H2_BAD_FIELD', 'H2_INTERNAL']);

/** A connection of HTTP/1 ended inside an exchange. */
export function brokenHttp1(error: MeshError): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  if (!(error instanceof H1Error) || CLOSED.has(error.code)) {
    return closed(error);
  }
  return error.code === 'H1_UNWRITABLE' ? unsendable(error) : unreadable(error);
}

/** A stream of HTTP/2 ended too early. `resetCode`: of the peer's RST_STREAM. */
export function brokenHttp2(
  error: MeshError | undefined,
  resetCode: number | undefined,
): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  if (error instanceof H2Error && error.code === 'H2_REFUSED') {
    return new HttpError('HTTP_UPSTREAM_RESET', error.message, {
      side: 'upstream',
      refused: true,
      retryable: true,
      cause: error,
    });
  }
  if (resetCode !== undefined && resetCode !== ERROR.NO_ERROR) {
    return new HttpError('HTTP_UPSTREAM_RESET', `stream reset with code ${resetCode}`, {
      side: 'upstream',
      headersSent: true,
      cause: error,
    });
  }
  if (error instanceof H2Error && UNREADABLE.has(error.code)) {
    return unreadable(error);
  }
  if (error instanceof H2Error && UNSENDABLE.has(error.code)) {
    return unsendable(error);
  }
  return closed(error ?? new Error('the connection closed before the answer was whole'));
}

/** The request is not such that it can be written: nothing of it, or not all, went out. */
export function unsendable(error: Error): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  const message = error.message.slice(0, MESSAGE_CHARS_MAX);
  return new HttpError('HTTP_INTERNAL', message, { side: 'local', cause: error });
}

/** The request's body broke off, so that the server must not take what it has for all of it. */
export function uploadFailure(error: MeshError): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  const message = `the request's body broke off: ${error.message}`.slice(0, MESSAGE_CHARS_MAX);
  return new HttpError('HTTP_CLIENT_GONE', message, {
    side: error.side,
    headersSent: true,
    cause: error,
  });
}

/** The pool is at its end. */
export function poolClosed(): HttpError {
  return new HttpError('HTTP_CONNECT_FAILURE', 'no more connections are made here', {
    side: 'local',
  });
}

function closed(error: Error): HttpError {
  return new HttpError('HTTP_UPSTREAM_CLOSED', error.message.slice(0, MESSAGE_CHARS_MAX), {
    side: error instanceof MeshError ? error.side : 'upstream',
    headersSent: true,
    cause: error,
  });
}

/** What the server said is not HTTP, or more of it than is taken. */
export function unreadable(error: Error): HttpError {
  const message = `protocol error: ${error.message}`.slice(0, MESSAGE_CHARS_MAX);
  return new HttpError('HTTP_UPSTREAM_RESET', message, {
    side: 'upstream',
    headersSent: true,
    status: 502,
    flag: 'UPE',
    cause: error,
  });
}
