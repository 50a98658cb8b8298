/** Phase `admit`: this process works on so many requests at a time. */
import { HttpError } from '../errors.ts';
import type { EngineContext, Transaction } from '../transaction.ts';

export function admit(_tx: Transaction, { counters, limits }: EngineContext): undefined {
  if (counters.active > limits.requestsMax) {
    counters.overloaded += 1;
    const message = `${limits.requestsMax} requests are in work`;
    throw new HttpError('HTTP_OVERLOADED', message, { side: 'local' });
  }
}
