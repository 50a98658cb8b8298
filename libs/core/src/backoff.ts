/**
 * Exponential back-off with jitter, as a count of failures and nothing else: it does not sleep.
 */

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Share by which a delay may be longer or shorter, 0..1. Default 0. */
  readonly jitter?: number;
  /** In 0..1; a test gives its own. Default Math.random. */
  readonly random?: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /** The delay after one more failure: doubles to the maximum. The jitter may exceed the maximum. */
  next(): number {
    const { initialMs, maxMs, jitter = 0, random = Math.random } = this.#options;
    // 2 ** 40 of anything is above every maximum, and 2 ** 2000 is Infinity.
    const base = Math.min(maxMs, initialMs * 2 ** Math.min(this.#failures, 40));
    this.#failures += 1;
    return base * (1 + jitter * (2 * random() - 1));
  }

  reset(): void {
    this.#failures = 0;
  }
}
