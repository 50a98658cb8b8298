/** Phase `log`: what happened goes to log and metrics, once, whatever happened. */
import type { HttpError } from '../errors.ts';
import type { EngineContext, Transaction } from '../transaction.ts';

export function logRequest(tx: Transaction, { observer }: EngineContext): void {
  observer.onRequest(tx.record());
}

/** An answer that had begun and was cut: by the client, by us, or by the upstream. */
export function flagCut(tx: Transaction, failure: HttpError): void {
  tx.error ??= failure;
  const isOurs = failure.code !== 'HTTP_UPSTREAM_CLOSED' && failure.code !== 'HTTP_UPSTREAM_RESET';
  tx.flag(isOurs ? failure.answer.flag : 'UC');
}
