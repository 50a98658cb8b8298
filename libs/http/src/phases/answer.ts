/** Phase `answer`: redirects and answers from the rule itself. */
import { octetsOf } from '@ambit/policy';
import { redirectLocation } from '@ambit/routing';
import { HeaderList } from '../headers.ts';
import type { Reply } from '../local-reply.ts';
import type { Transaction } from '../transaction.ts';

const NOTHING = new Uint8Array(0);

export function answerLocally(tx: Transaction): Reply | undefined {
  const { decision } = tx;
  switch (decision?.kind) {
    case 'redirect': {
      const headers = new HeaderList();
      headers.add('location', octetsOf(redirectLocation(decision.action, tx.view)));
      return { status: decision.action.status, headers, bytes: NOTHING };
    }
    case 'direct-response': {
      const { status, body } = decision.action;
      const headers = new HeaderList();
      if (body.length > 0) {
        headers.add('content-type', 'text/plain');
      }
      return { status, headers, bytes: body };
    }
    case 'route':
    case undefined:
      return undefined;
  }
}
