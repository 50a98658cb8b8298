/**
 * Every way in which a request can fail here, and in one table what the client is told: status, flag, body.
 *
 * Flags and bodies are those that dashboards and test suites know. Nothing of the mesh's inside goes
 * into a body.
 */
import { type ErrorSide, MeshError, type MeshErrorOptions } from '@ambit/core';
import { REFUSAL_ANSWER } from '@ambit/policy';

export type HttpErrorCode =
  /** A request whose meaning is not clear: path, host, framing. */
  | 'HTTP_BAD_REQUEST'
  | 'HTTP_HEADERS_TOO_LARGE'
  | 'HTTP_VERSION_UNSUPPORTED'
  | 'HTTP_METHOD_UNSUPPORTED'
  | 'HTTP_DENIED'
  /** A policy that applies is not here, or configuration is incomplete. */
  | 'HTTP_NOT_CONFIGURED'
  | 'HTTP_CORS_UNSUPPORTED'
  | 'HTTP_NO_ROUTE'
  | 'HTTP_NO_CLUSTER'
  | 'HTTP_INVALID_BACKEND'
  | 'HTTP_NO_HEALTHY_UPSTREAM'
  | 'HTTP_OVERFLOW'
  | 'HTTP_OVERLOADED'
  | 'HTTP_CONNECT_FAILURE'
  | 'HTTP_UPSTREAM_RESET'
  | 'HTTP_UPSTREAM_CLOSED'
  | 'HTTP_TRY_TIMEOUT'
  | 'HTTP_TIMEOUT'
  | 'HTTP_CLIENT_GONE'
  | 'HTTP_LOOP'
  | 'HTTP_INTERNAL';

/** Envoy's names; `-` is none. */
export type ResponseFlag =
  | 'NR'
  | 'NC'
  | 'UH'
  | 'UF'
  | 'UO'
  | 'UC'
  | 'UR'
  | 'UT'
  | 'URX'
  | 'DC'
  | 'DI'
  | 'FI'
  | 'OM'
  | 'DPE'
  | 'UPE'
  | 'IH'
  | '-';

export interface ErrorAnswer {
  readonly status: number;
  readonly flag: ResponseFlag;
  readonly body: string;
}

const RESET_PREFIX = 'upstream connect error or disconnect/reset before headers. reset reason: ';

/** `HTTP_INVALID_BACKEND` and `HTTP_NO_CLUSTER` may bring a status of their own. */
const ANSWERS: Readonly<Record<HttpErrorCode, ErrorAnswer>> = {
  HTTP_BAD_REQUEST: { status: 400, flag: 'DPE', body: 'Bad Request' },
  HTTP_HEADERS_TOO_LARGE: { status: 431, flag: 'DPE', body: 'Request Header Fields Too Large' },
  HTTP_VERSION_UNSUPPORTED: { status: 426, flag: 'DPE', body: 'Upgrade Required' },
  HTTP_METHOD_UNSUPPORTED: { status: 405, flag: '-', body: 'Method Not Allowed' },
  HTTP_DENIED: { ...REFUSAL_ANSWER, flag: '-' },
  HTTP_NOT_CONFIGURED: { ...REFUSAL_ANSWER, flag: '-' },
  HTTP_CORS_UNSUPPORTED: { status: 501, flag: '-', body: 'CORS preflight is not supported' },
  HTTP_NO_ROUTE: { status: 404, flag: 'NR', body: '' },
  HTTP_NO_CLUSTER: { status: 503, flag: 'NC', body: '' },
  HTTP_INVALID_BACKEND: { status: 500, flag: '-', body: '' },
  HTTP_NO_HEALTHY_UPSTREAM: { status: 503, flag: 'UH', body: 'no healthy upstream' },
  HTTP_OVERFLOW: { status: 503, flag: 'UO', body: `${RESET_PREFIX}overflow` },
  HTTP_OVERLOADED: { status: 503, flag: 'OM', body: 'overloaded' },
  HTTP_CONNECT_FAILURE: { status: 503, flag: 'UF', body: `${RESET_PREFIX}connection failure` },
  HTTP_UPSTREAM_RESET: { status: 503, flag: 'UR', body: `${RESET_PREFIX}remote reset` },
  HTTP_UPSTREAM_CLOSED: { status: 503, flag: 'UC', body: `${RESET_PREFIX}connection termination` },
  HTTP_TRY_TIMEOUT: { status: 504, flag: 'UT', body: 'upstream request timeout' },
  HTTP_TIMEOUT: { status: 504, flag: 'UT', body: 'upstream request timeout' },
  HTTP_CLIENT_GONE: { status: 0, flag: 'DC', body: '' },
  HTTP_LOOP: { status: 508, flag: '-', body: 'Loop Detected' },
  HTTP_INTERNAL: { status: 500, flag: '-', body: '' },
};

export interface HttpErrorOptions extends MeshErrorOptions {
  /** Replaces the table's. */
  readonly status?: number;
  readonly flag?: ResponseFlag;
  /** The request had begun to reach the peer. */
  readonly headersSent?: boolean;
  /** REFUSED_STREAM, or GOAWAY below the stream: the peer has surely not acted. */
  readonly refused?: boolean;
}

export class HttpError extends MeshError<HttpErrorCode> {
  override readonly name = 'HttpError';
  readonly answer: ErrorAnswer;
  readonly headersSent: boolean;
  readonly refused: boolean;

  constructor(code: HttpErrorCode, message: string, options: HttpErrorOptions) {
    super(code, message, options);
    const answer = ANSWERS[code];
    this.answer = {
      ...answer,
      status: options.status ?? answer.status,
      flag: options.flag ?? answer.flag,
    };
    this.headersSent = options.headersSent ?? false;
    this.refused = options.refused ?? false;
  }
}

/** Anything thrown on the way of a request. What nobody foresaw is HTTP_INTERNAL and keeps its cause. */
export function toHttpError(error: unknown, side: ErrorSide = 'local'): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  const message = error instanceof Error ? error.message : String(error);
  return new HttpError('HTTP_INTERNAL', message.slice(0, 200), { side, cause: error });
}

const gone = new WeakMap<MeshError, HttpError>();

/** The client is not there any more. One error for all that share a cause: clients may go by the thousand. */
export function clientGone(cause: MeshError): HttpError {
  let error = gone.get(cause);
  if (error === undefined) {
    const message = `the client went away: ${cause.message}`.slice(0, 200);
    error = new HttpError('HTTP_CLIENT_GONE', message, { side: 'downstream', cause });
    gone.set(cause, error);
  }
  return error;
}

/** gRPC status of an answer that this proxy made, by HTTP status (the reference's mapping). */
export function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}
