/**
 * Phase `authorise`: every policy of the destination, for the real caller, on the request as it came. Once an endpoint is chosen, those
 * of others than whose route it is judge what the route makes of it too.
 */
import {
  decideRewritten,
  foreignRewrite,
  type PolicyDecision,
  type WaypointAuthorization,
} from '@ambit/model';
import { explainRefusal } from '@ambit/policy';
import { HttpError } from '../errors.ts';
import type { Transaction } from '../transaction.ts';
import type { MeshEndpoint } from '../upstream/cluster-state.ts';
import { rewrittenView } from './upstream-headers.ts';

export function authorise(tx: Transaction): undefined {
  tx.authorization = tx.plane.authorize(tx.view);
  require(tx, tx.authorization.beforeRoute);
}

/** Again for the endpoint that was chosen: its own policies may differ from its neighbours'. Throws an HttpError. */
export function authoriseEndpoint(tx: Transaction, endpoint: MeshEndpoint): void {
  if (tx.authorization === undefined) {
    throw new HttpError('HTTP_INTERNAL', 'the request was not authorised', { side: 'local' });
  }
  require(tx, decideFor(tx, endpoint, tx.authorization));
}

/** Whether a copy may go there. Throws an HttpError. */
export function mayGetCopy(tx: Transaction, endpoint: MeshEndpoint): boolean {
  const { authorization } = tx;
  return authorization !== undefined && decideFor(tx, endpoint, authorization).verdict.allowed;
}

/** For a request that is under way: cuts it, and says so, if policy as it is now forbids it. */
export function isForbiddenNow(tx: Transaction): boolean {
  const { endpoint } = tx;
  if (endpoint === undefined) {
    return false;
  }
  const { verdict } = decideFor(tx, endpoint, tx.plane.authorize(tx.view));
  if (verdict.allowed) {
    return false;
  }
  tx.verdict = verdict;
  tx.abort(
    new HttpError('HTTP_DENIED', 'connection closed due to policy change', { side: 'downstream' }),
  );
  return true;
}

/** Of both, the refusal if there is one. Throws HTTP_BAD_REQUEST where what the route makes of the request cannot be judged. */
function decideFor(
  tx: Transaction,
  endpoint: MeshEndpoint,
  authorization: WaypointAuthorization,
): PolicyDecision {
  const decision = authorization.forEndpoint(endpoint);
  const { decision: routed, share } = tx;
  if (!decision.verdict.allowed || routed?.kind !== 'route' || share === undefined) {
    return decision;
  }
  const route = foreignRewrite(routed, share, endpoint.workload);
  if (route === undefined) {
    return decision;
  }
  tx.rewritten ??= rewrittenView(tx, routed, share);
  return decideRewritten(decision, { route, request: tx.rewritten });
}

function require(tx: Transaction, { verdict, set, input }: PolicyDecision): void {
  tx.verdict = verdict;
  if (verdict.allowed) {
    return;
  }
  const code = verdict.reason === 'policy-missing' ? 'HTTP_NOT_CONFIGURED' : 'HTTP_DENIED';
  const isRewritten = input.request !== undefined && input.request === tx.rewritten;
  const what = isRewritten ? `, of what ${tx.decision?.rule?.origin.object} sends` : '';
  throw new HttpError(code, `${explainRefusal(verdict, set.policies, input)}${what}`, {
    side: code === 'HTTP_DENIED' ? 'downstream' : 'control-plane',
  });
}
