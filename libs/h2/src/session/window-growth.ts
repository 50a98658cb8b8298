/**
 * By how much receive windows may grow, of all sessions of a thread.
 *
 * Rule: a session may have half of what the others leave, so that there is some left whoever does not read; and large windows leave
 * a quarter of all to small ones. Who gets none of it keeps the window that it has, and is slower over a long way; nothing is refused.
 */

const SESSION_SHARE = 0.5;
const SMALL_WINDOW_BYTES = 256 * 1024;
/** Of all, what windows beyond that may have. */
const LARGE_SHARE = 0.75;

export class WindowGrowth {
  /** Bytes. Infinity: there is no bound. */
  max: number;
  /** Beyond what windows begin with: what peers may send, and what is held of streams that are over. */
  bytes = 0;
  /** How often a window that held up its sender stayed as it was. */
  refused = 0;

  constructor(max: number) {
    this.max = max;
  }

  /** Whether a window may grow to so much by so much, of a session whose windows have grown by `own`. */
  allows(windowBytes: number, step: number, own: number): boolean {
    const max = windowBytes <= SMALL_WINDOW_BYTES ? this.max : this.max * LARGE_SHARE;
    const left = max - (this.bytes - own);
    return own + step <= left * SESSION_SHARE;
  }
}

/** Of this thread; without a bound until somebody sets one. */
export const threadWindowGrowth = new WindowGrowth(Number.POSITIVE_INFINITY);
