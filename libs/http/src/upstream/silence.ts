/**
 * Servers of HTTP/2 that owe something and say nothing: asked by PING whether they are there.
 *
 * Rule: one that answers is asked twice in a silence, then seldom, and never without a request on it: servers of gRPC end
 * connections on which they are asked more often than every 5 min between two of their own words, after three times.
 */
import { type ClientSession, H2Error } from '@ambit/h2';

/** From a PING to the end of the session, as in tunnels. */
export const PING_TIMEOUT_MS = 20_000;
const QUICK_MAX = 2;
export const SELDOM_MS = 310_000;

export class Silence {
  readonly #session: ClientSession;
  readonly #onGone: () => void;
  /** In this silence. */
  #asked = 0;
  #askedAtMs = 0;
  #isAsking = false;

  /** `onGone`: before the session ends because it is silent. */
  constructor(session: ClientSession, onGone: () => void) {
    this.#session = session;
    this.#onGone = onGone;
  }

  /** To be called from time to time: what was said in between breaks the silence. */
  look(nowMs: number): void {
    const session = this.#session;
    if (session.takeHeard()) {
      this.#asked = 0;
    } else if (session.openStreams > 0 && !this.#isAsking && this.#isTime(nowMs)) {
      this.#asked += 1;
      this.#askedAtMs = nowMs;
      this.#isAsking = true;
      session.probe(PING_TIMEOUT_MS, (isThere) => this.#onProbed(isThere));
    }
  }

  #isTime(nowMs: number): boolean {
    return this.#asked < QUICK_MAX || nowMs - this.#askedAtMs >= SELDOM_MS;
  }

  #onProbed(isThere: boolean): void {
    this.#isAsking = false;
    if (isThere) {
      // The answer itself.
      this.#session.takeHeard();
    } else {
      this.#onGone();
      this.#session.destroy(
        new H2Error('H2_PING_TIMEOUT', 'the server answered no PING in time', { side: 'upstream' }),
      );
    }
  }
}
