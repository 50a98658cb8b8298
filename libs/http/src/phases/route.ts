/** Phases 3 to 6: which rule, what it refuses or delays, and answers that need no upstream. */
import { drawFault, redirectLocation } from '@ambit/routing';
import { HttpError } from '../errors.ts';
import { HeaderList } from '../headers.ts';
import { bytesReply, grpcReply, plainReply, type Reply } from '../local-reply.ts';
import type { EngineContext, Transaction } from '../transaction.ts';

export function matchRoute(tx: Transaction): undefined {
  const decision = tx.plane.route(tx.view);
  if (decision.kind === 'no-route') {
    throw new HttpError('HTTP_NO_ROUTE', 'no rule matches the request', { side: 'downstream' });
  }
  tx.decision = decision;
}

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

/** Delay first, then abort; a faulted request goes nowhere and is never retried. */
export async function injectFault(
  tx: Transaction,
  { clock, random }: EngineContext,
): Promise<Reply | undefined> {
  if (tx.decision?.kind !== 'route') {
    return undefined;
  }
  const { delayMs, abort } = drawFault(tx.decision.action.fault, random);
  if (delayMs !== undefined) {
    tx.flags.add('DI');
    await clock.sleep(delayMs, tx.signal);
  }
  if (abort === undefined) {
    return undefined;
  }
  tx.flags.add('FI');
  const text = 'fault filter abort';
  if (abort.kind === 'grpc') {
    return grpcReply(abort.status, text);
  }
  return tx.isGrpc ? grpcReply(14, text) : plainReply(abort.status, text);
}

/** Redirects and answers from the rule itself. */
export function answerLocally(tx: Transaction): Reply | undefined {
  const { decision } = tx;
  switch (decision?.kind) {
    case 'redirect': {
      const headers = new HeaderList();
      headers.add('location', redirectLocation(decision.action, tx.view));
      return bytesReply({ status: decision.action.status, headers }, new Uint8Array(0));
    }
    case 'direct-response': {
      const { status, body } = decision.action;
      const headers = new HeaderList();
      if (body.length > 0) {
        headers.add('content-type', 'text/plain');
      }
      return bytesReply({ status, headers }, body);
    }
    case 'route':
    case undefined:
      return undefined;
  }
}
