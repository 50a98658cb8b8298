/** Phase `authorise`: every policy of the destination, for the real caller, on the request as it came. */
import type { PolicyDecision } from '@ambit/model';
import { explainRefusal } from '@ambit/policy';
import { HttpError } from '../errors.ts';
import type { Transaction } from '../transaction.ts';
import type { MeshEndpoint } from '../upstream/cluster-state.ts';

export function authorise(tx: Transaction): undefined {
  tx.authorization = tx.plane.authorize(tx.view);
  require(tx, tx.authorization.beforeRoute);
}

/** Again for the endpoint that was chosen: its own policies may differ from its neighbours'. */
export function authoriseEndpoint(tx: Transaction, endpoint: MeshEndpoint): void {
  const decision = tx.authorization?.forEndpoint(endpoint);
  if (decision === undefined) {
    throw new HttpError('HTTP_INTERNAL', 'the request was not authorised', { side: 'local' });
  }
  require(tx, decision);
}

/** For a request that is under way: cuts it, and says so, if policy as it is now forbids it. */
export function isForbiddenNow(tx: Transaction): boolean {
  const { endpoint } = tx;
  if (endpoint === undefined) {
    return false;
  }
  const { verdict } = tx.plane.authorize(tx.view).forEndpoint(endpoint);
  if (verdict.allowed) {
    return false;
  }
  tx.verdict = verdict;
  tx.abort(
    new HttpError('HTTP_DENIED', 'connection closed due to policy change', { side: 'downstream' }),
  );
  return true;
}

function require(tx: Transaction, { verdict, set, input }: PolicyDecision): void {
  tx.verdict = verdict;
  if (verdict.allowed) {
    return;
  }
  const code = verdict.reason === 'policy-missing' ? 'HTTP_NOT_CONFIGURED' : 'HTTP_DENIED';
  throw new HttpError(code, explainRefusal(verdict, set.policies, input), {
    side: code === 'HTTP_DENIED' ? 'downstream' : 'control-plane',
  });
}
