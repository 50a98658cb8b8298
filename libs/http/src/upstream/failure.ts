/** What went wrong with a try, from what node:http and node:http2 say. */
import { constants } from 'node:http2';
import { MeshError } from '@ambit/core';
import type { Cluster } from '@ambit/routing';
import { HttpError } from '../errors.ts';

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** No connection could be had: nothing of the request reached anybody. */
export function connectFailure(error: unknown): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  const message = error instanceof Error ? error.message : String(error);
  return new HttpError('HTTP_CONNECT_FAILURE', message.slice(0, 200), {
    side: error instanceof MeshError ? error.side : 'upstream',
    retryable: true,
    cause: error,
  });
}

/** The connection broke while a request was on it. */
export function brokenOff(error: unknown, headersSent: boolean): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  const message = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  const common = { side: 'upstream', headersSent, cause: error } as const;
  if (code.startsWith('HPE_') || code === 'ERR_HTTP2_ERROR') {
    return new HttpError('HTTP_UPSTREAM_RESET', `protocol error: ${message.slice(0, 160)}`, {
      ...common,
      status: 502,
      flag: 'UPE',
    });
  }
  return new HttpError('HTTP_UPSTREAM_CLOSED', message.slice(0, 200), common);
}

/** The peer reset one stream of a session that goes on. */
export function streamReset(rstCode: number, headersSent: boolean): HttpError {
  const refused = rstCode === constants.NGHTTP2_REFUSED_STREAM;
  return new HttpError('HTTP_UPSTREAM_RESET', `stream reset with code ${rstCode}`, {
    side: 'upstream',
    headersSent: headersSent && !refused,
    refused,
    retryable: refused,
  });
}

export function overflow(what: string): HttpError {
  return new HttpError('HTTP_OVERFLOW', `refused: the limit of ${what} is reached`, {
    side: 'local',
  });
}

/** Settings that ask for TLS towards the endpoint: not supported yet, and plaintext is no substitute. */
export function requireNoTls({ name, tls }: Cluster): void {
  if (tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL') {
    throw new HttpError('HTTP_NO_CLUSTER', `tls mode ${tls.mode} of ${name} is not supported`, {
      side: 'control-plane',
    });
  }
}
