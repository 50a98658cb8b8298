/** Phase `fault`: delay first, then abort; a faulted request goes nowhere and is never retried. */
import { type DrawnFault, drawFault } from '@ambit/routing';
import { grpcReply, plainReply, type Reply } from '../local-reply.ts';
import type { EngineContext, Transaction } from '../transaction.ts';

export function injectFault(
  tx: Transaction,
  context: EngineContext,
): Reply | undefined | Promise<Reply | undefined> {
  const { decision } = tx;
  if (decision?.kind !== 'route' || decision.action.fault === undefined) {
    return undefined;
  }
  const { delayMs, abort } = drawFault(decision.action.fault, context.random);
  return delayMs === undefined ? abortedBy(tx, abort) : delayed(tx, context, delayMs, abort);
}

async function delayed(
  tx: Transaction,
  { clock }: EngineContext,
  delayMs: number,
  abort: DrawnFault['abort'],
): Promise<Reply | undefined> {
  tx.flag('DI');
  await clock.sleep(delayMs, tx.signal);
  return abortedBy(tx, abort);
}

function abortedBy(tx: Transaction, abort: DrawnFault['abort']): Reply | undefined {
  if (abort === undefined) {
    return undefined;
  }
  tx.flag('FI');
  const text = 'fault filter abort';
  if (abort.kind === 'grpc') {
    return grpcReply(abort.status, text);
  }
  return tx.isGrpc ? grpcReply(14, text) : plainReply(abort.status, text);
}
