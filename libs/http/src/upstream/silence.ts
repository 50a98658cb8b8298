/**
 * Servers of HTTP/2 that owe an answer and say nothing: asked by PING whether they are there.
 *
 * Rule: one that answers PING is asked twice in a silence, then seldom, and never without a request on it. Only HEADERS and DATA
 * end a silence, when they come, not when they are read: servers of gRPC end connections on which, between two of those, they were
 * asked more often than every 5 min for the third time.
 */
import { type ClientSession, H2Error } from '@ambit/h2';

/** From a PING to the end of the session; as long again after any in which something came, if not the answer. */
export const PING_TIMEOUT_MS = 20_000;
/** Looks without an answer until it is asked: between one and two intervals. */
const QUIET_LOOKS = 2;
const QUICK_MAX = 2;
export const SELDOM_MS = 310_000;

export class Silence {
  readonly #session: ClientSession;
  readonly #onGone: () => void;
  /** Of the session, at the last look. */
  #messageFrames = 0;
  #quietLooks = 0;
  /** In this silence. */
  #asked = 0;
  #askedAtMs = 0;
  #isAsking = false;

  /** `onGone`: before the session ends because it is silent. */
  constructor(session: ClientSession, onGone: () => void) {
    this.#session = session;
    this.#onGone = onGone;
  }

  /** To be called from time to time. */
  look(nowMs: number): void {
    const { messageFrames, openStreams } = this.#session;
    if (messageFrames !== this.#messageFrames) {
      this.#messageFrames = messageFrames;
      this.#asked = 0;
      this.#quietLooks = 0;
    } else if (openStreams === 0) {
      this.#quietLooks = 0;
    } else {
      this.#quietLooks += 1;
      if (this.#quietLooks >= QUIET_LOOKS && !this.#isAsking && this.#isTime(nowMs)) {
        this.#ask(nowMs);
      }
    }
  }

  #ask(nowMs: number): void {
    this.#asked += 1;
    this.#askedAtMs = nowMs;
    this.#isAsking = true;
    this.#session.probe(PING_TIMEOUT_MS, (isThere) => this.#onProbed(isThere), { isPatient: true });
  }

  #isTime(nowMs: number): boolean {
    return this.#asked < QUICK_MAX || nowMs - this.#askedAtMs >= SELDOM_MS;
  }

  #onProbed(isThere: boolean): void {
    this.#isAsking = false;
    if (!isThere) {
      this.#onGone();
      this.#session.destroy(
        new H2Error('H2_PING_TIMEOUT', 'the server answered no PING in time', { side: 'upstream' }),
      );
    }
  }
}
