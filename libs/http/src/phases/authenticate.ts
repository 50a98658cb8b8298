/**
 * Phase `authenticate`: who calls is who opened the tunnel, as its certificate says.
 *
 * What only the mesh may write is cut before policies look: nobody gets in by a header that only a waypoint writes.
 */
import type { Transaction } from '../transaction.ts';

const REQUEST_ID = /^[!-~]{1,128}$/;

export function authenticate(tx: Transaction): undefined {
  tx.headers.removeInternal();
  const requestId = tx.headers.get('x-request-id');
  if (requestId !== undefined && REQUEST_ID.test(requestId)) {
    tx.requestId = requestId;
  } else {
    tx.headers.set('x-request-id', tx.requestId);
  }
}
