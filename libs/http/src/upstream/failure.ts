/** Why no connection could be had for a try. */
import { MeshError } from '@ambit/core';
import type { Cluster } from '@ambit/routing';
import { HttpError } from '../errors.ts';

/** No connection could be had: nothing of the request reached anybody. */
export function connectFailure(error: unknown): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  const message = error instanceof Error ? error.message : String(error);
  // It was waited for as long as for any connection already: asked no more.
  const isGivenUp = error instanceof MeshError && error.code === 'HBONE_PEER_AWAY';
  return new HttpError('HTTP_CONNECT_FAILURE', message.slice(0, 200), {
    side: error instanceof MeshError ? error.side : 'upstream',
    retryable: !isGivenUp,
    cause: error,
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
