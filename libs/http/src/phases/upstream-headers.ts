/** The request as it goes up: the caller named by us, the rule's changes applied. */
import {
  applyHeaderOperations,
  joinQuery,
  type PathChange,
  pathToSend,
  type WeightedCluster,
} from '@ambit/routing';
import { HttpError } from '../errors.ts';
import type { HeaderList } from '../headers.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import { variablesOf } from './variables.ts';

export interface UpstreamHead {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** With query. */
  readonly path: string;
  readonly headers: HeaderList;
}

export function upstreamHead(
  tx: Transaction,
  share: WeightedCluster,
  { identity }: EngineContext,
): UpstreamHead {
  const { decision, plane } = tx;
  if (decision?.kind !== 'route') {
    throw new HttpError('HTTP_INTERNAL', 'the request is not routed', { side: 'local' });
  }
  const { head } = tx.exchange;
  const { action } = decision;
  const headers = tx.headers.clone();
  headers.remove('expect');
  const forwardedFor = headers.get('x-forwarded-for');
  const { ip } = plane.caller;
  headers.set('x-forwarded-for', forwardedFor === undefined ? ip : `${forwardedFor},${ip}`);
  const proto = headers.get('x-forwarded-proto');
  if (proto !== 'http' && proto !== 'https') {
    headers.set('x-forwarded-proto', head.scheme);
  }
  const operations = [share.headers.request, decision.headers.request] as const;
  for (const list of operations) {
    if (list.length > 0) {
      applyHeaderOperations(list, headers, variablesOf(tx));
    }
  }
  const path = rewrittenPath(tx.path, action.path);
  if (path !== tx.path) {
    headers.set('x-envoy-original-path', `${tx.path}${tx.query}`);
  }
  // Last, so that no rule of a route can speak for a caller.
  headers.set('x-forwarded-client-cert', `By=${identity()};URI=${plane.caller.identity}`);
  return {
    method: head.method,
    scheme: head.scheme,
    authority: action.authority ?? share.authority ?? head.authority,
    path: joinQuery(path, tx.query.slice(1)),
    headers,
  };
}

/** Throws HTTP_BAD_REQUEST where the route's rewrite has left no clear path. */
function rewrittenPath(path: string, change: PathChange | undefined): string {
  if (change === undefined) {
    return path;
  }
  const rewritten = pathToSend(path, change);
  if (!rewritten.isClear) {
    const shown = JSON.stringify(rewritten.path.slice(0, 80));
    throw new HttpError('HTTP_BAD_REQUEST', `the rewritten path ${shown} is not clear`, {
      side: 'downstream',
    });
  }
  return rewritten.path;
}
