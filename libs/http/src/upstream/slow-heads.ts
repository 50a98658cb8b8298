/**
 * Servers that send the head of a response byte by byte, and never its end.
 *
 * The pool looks at its connections from time to time, so that a request costs nothing for it. Before the first byte a server
 * may think as long as the route lets it.
 */
import type { H1ClientConnection } from '../h1/connection/client-connection.ts';
import { H1Error, type H1Refusals } from '../h1/errors.ts';

/** From the first byte of a response to the end of its head; the engine's, for requests. Late by a look at most. */
export const RESPONSE_HEAD_TIMEOUT_MS = 60_000;

export class SlowHead {
  /** When a head was first seen unfinished, and of which request. */
  #sinceMs = 0;
  #use = 0;

  /** Ends the connection when its time is over. */
  look(connection: H1ClientConnection, refusals: H1Refusals, nowMs: number): void {
    if (!connection.isReadingHead) {
      this.#use = 0;
    } else if (this.#use !== connection.uses) {
      this.#use = connection.uses;
      this.#sinceMs = nowMs;
    } else if (nowMs - this.#sinceMs >= RESPONSE_HEAD_TIMEOUT_MS) {
      refusals.count('H1_HEAD_TIMEOUT');
      connection.destroy(new H1Error('H1_HEAD_TIMEOUT', 'upstream'));
    }
  }
}
