/** Phase `route`: which rule. */
import { HttpError } from '../errors.ts';
import type { Transaction } from '../transaction.ts';

export function matchRoute(tx: Transaction): undefined {
  const decision = tx.plane.route(tx.view);
  if (decision.kind === 'no-route') {
    throw new HttpError('HTTP_NO_ROUTE', 'no rule matches the request', { side: 'downstream' });
  }
  tx.decision = decision;
}
