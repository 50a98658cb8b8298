/** The thread that validates: a review in, its outcome out, one at a time. */
import { parentPort } from 'node:worker_threads';

import { FINISH, type FromValidator, type ToValidator } from './validate-messages.ts';
import { validateReview } from './validator.ts';

const port = parentPort;
if (port === null) throw new TypeError('validate-worker.ts runs as a worker thread');

const post = (message: FromValidator): void => {
  port.postMessage(message);
};

port.on('message', (message: ToValidator | typeof FINISH) => {
  if (message === FINISH) {
    port.close();
    return;
  }
  const { id, body } = message;
  post({ kind: 'outcome', id, outcome: validateReview(body) });
});
post({ kind: 'ready' });
