/** The request as it goes up: the caller named by us, the rule's changes applied. */
import { judgedPath } from '@ambit/model';
import {
  applyHeaderOperations,
  joinQuery,
  type PathChange,
  pathToSend,
  type WeightedCluster,
} from '@ambit/routing';
import { HttpError } from '../errors.ts';
import type { HeaderList } from '../headers.ts';
import { RequestView } from '../request-view.ts';
import type { EngineContext, RoutedDecision, Transaction } from '../transaction.ts';
import { variablesOf } from './variables.ts';

export interface UpstreamHead {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** With query. */
  readonly path: string;
  readonly headers: HeaderList;
}

type Routed = Extract<RoutedDecision, { kind: 'route' }>;

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
  const headers = tx.headers.clone();
  headers.remove('expect');
  const forwardedFor = headers.get('x-forwarded-for');
  const { ip } = plane.caller;
  headers.set('x-forwarded-for', forwardedFor === undefined ? ip : `${forwardedFor},${ip}`);
  const proto = headers.get('x-forwarded-proto');
  if (proto !== 'http' && proto !== 'https') {
    headers.set('x-forwarded-proto', head.scheme);
  }
  changeHeaders(headers, tx, [share, decision]);
  const path = rewrittenPath(tx.path, decision.action.path);
  if (path !== tx.path) {
    headers.set('x-envoy-original-path', `${tx.path}${tx.query}`);
  }
  // Last, so that no rule of a route can speak for a caller.
  headers.set('x-forwarded-client-cert', `By=${identity()};URI=${plane.caller.identity}`);
  return {
    method: head.method,
    scheme: head.scheme,
    authority: sentAuthority(tx, decision, share),
    path: joinQuery(path, tx.query.slice(1)),
    headers,
  };
}

/**
 * What the route makes of the request, without what we add ourselves: for policies. Throws HTTP_BAD_REQUEST for a path that cannot be
 * judged.
 */
export function rewrittenView(
  tx: Transaction,
  decision: Routed,
  share: WeightedCluster,
): RequestView {
  const headers = tx.headers.clone();
  changeHeaders(headers, tx, [share, decision]);
  const sent = rewrittenPath(tx.path, decision.action.path);
  const path = sent === tx.path ? sent : judgedPath(sent);
  if (path === undefined) {
    throw unclear(sent);
  }
  return new RequestView(tx, { authority: sentAuthority(tx, decision, share), path, headers });
}

function sentAuthority(
  { exchange }: Transaction,
  { action }: Routed,
  share: WeightedCluster,
): string {
  return action.authority ?? share.authority ?? exchange.head.authority;
}

/** Those of a destination before those of the rule; the same whenever it is asked. */
function changeHeaders(
  headers: HeaderList,
  tx: Transaction,
  by: readonly Pick<Routed, 'headers'>[],
): void {
  for (const { headers: operations } of by) {
    if (operations.request.length > 0) {
      const lookUp = variablesOf(tx);
      // What goes up is made before any endpoint is chosen.
      applyHeaderOperations(operations.request, headers, (variable, argument) =>
        variable === 'UPSTREAM_REMOTE_ADDRESS' ? undefined : lookUp(variable, argument),
      );
    }
  }
}

/** Throws HTTP_BAD_REQUEST where the route's rewrite has left no clear path. */
function rewrittenPath(path: string, change: PathChange | undefined): string {
  if (change === undefined) {
    return path;
  }
  const rewritten = pathToSend(path, change);
  if (!rewritten.isClear) {
    throw unclear(rewritten.path);
  }
  return rewritten.path;
}

function unclear(path: string): HttpError {
  const shown = JSON.stringify(path.slice(0, 80));
  return new HttpError('HTTP_BAD_REQUEST', `the rewritten path ${shown} is not clear`, {
    side: 'downstream',
  });
}
