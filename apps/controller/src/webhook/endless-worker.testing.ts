/** The validating thread, but for an object that says `endless`: that one it never finishes. */
import { parentPort } from 'node:worker_threads';

const port = parentPort;
if (port === null) throw new TypeError('endless-worker.testing.ts runs as a worker thread');
port.on('message', (message: unknown) => {
  const body = (message as { readonly body?: Uint8Array }).body;
  while (body !== undefined && new TextDecoder().decode(body).includes('endless')) {
    // Until the thread is ended.
  }
});
await import('./validate-worker.ts');
