/**
 * By how much receive windows may grow: those of a session together, and those of all sessions of a thread.
 *
 * Rule: a window may be no more than a quarter of what is left, so that there is always some left. Who gets none of it keeps the
 * window that every stream begins with, and is slower over long ways; nothing is refused.
 */

const WINDOW_SHARE = 0.25;

export class WindowGrowth {
  /** Bytes. Infinity: there is no bound. */
  max: number;
  /** Of windows of open streams, beyond what they began with. */
  bytes = 0;
  /** How often a window that held up its sender stayed as it was. */
  refused = 0;

  constructor(max: number) {
    this.max = max;
  }

  /** Whether a window may be so large now. */
  allows(windowBytes: number): boolean {
    return windowBytes <= (this.max - this.bytes) * WINDOW_SHARE;
  }
}

/** Of this thread; without a bound until somebody sets one. */
export const threadWindowGrowth = new WindowGrowth(Number.POSITIVE_INFINITY);
