/** How CONNECTs fail, at the end that asks. Of what an established tunnel fails with, see `errors.ts`. */
import { type Cancellation, MeshError } from '@ambit/core';
import type { ResponseHead } from '@ambit/h2';
import { HboneError } from './errors.ts';

/** The peer says that too much is asked at a time: of all that share the session, so each may be asked again. */
export function endedForAll(cause: unknown): HboneError {
  return new HboneError('HBONE_REFUSED_STREAM', 'the peer ended the tunnel: too much at a time', {
    side: 'upstream',
    retryable: true,
    cause,
  });
}

export function noAnswer(): HboneError {
  return new HboneError('HBONE_RESPONSE_TIMEOUT', 'the peer did not answer CONNECT in time', {
    side: 'upstream',
  });
}

export function silent(): HboneError {
  return new HboneError('HBONE_TUNNEL_LOST', 'the peer answers neither CONNECT nor PING', {
    side: 'upstream',
    retryable: true,
  });
}

export function isOverdue(error: unknown): boolean {
  return error instanceof HboneError && error.code === 'HBONE_RESPONSE_TIMEOUT';
}

/** What the statuses mean for the person who reads the log of the side that dialled. */
const HINTS: ReadonlyMap<number, string> = new Map([
  [400, ', the peer does not serve this address'],
  [401, ', refused by the policy of the destination'],
  [503, ', the peer could not reach the destination'],
]);

export function requireOk({ status }: ResponseHead): void {
  if (status !== 200) {
    const hint = HINTS.get(status) ?? '';
    throw new HboneError('HBONE_STATUS', `http status: ${status}${hint}`, {
      side: 'upstream',
      status,
    });
  }
}

export function lost(message: string): HboneError {
  return new HboneError('HBONE_TUNNEL_LOST', message, { side: 'upstream' });
}

export function abortReason(signal: Cancellation | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof MeshError
    ? reason
    : new HboneError('HBONE_ABORTED', 'the caller went away', { side: 'downstream' });
}
