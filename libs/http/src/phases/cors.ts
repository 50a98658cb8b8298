/** Phase `cors`: preflights that a rule wants answered. */
import { HttpError } from '../errors.ts';
import type { Transaction } from '../transaction.ts';

/**
 * A preflight that a rule wants answered is refused, because answering is not supported yet and passing it
 * on could allow what the rule does not. Other requests go on without CORS headers, so browsers block.
 */
export function refuseCors(tx: Transaction): undefined {
  const { decision, headers } = tx;
  if (decision?.kind !== 'route' || decision.action.cors === undefined) {
    return;
  }
  const isPreflight =
    tx.exchange.head.method === 'OPTIONS' &&
    headers.has('origin') &&
    headers.has('access-control-request-method');
  if (isPreflight) {
    throw new HttpError('HTTP_CORS_UNSUPPORTED', 'corsPolicy is not supported', { side: 'local' });
  }
}
