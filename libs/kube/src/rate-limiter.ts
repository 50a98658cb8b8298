/**
 * So many a second, in the order of asking.
 */
import type { Clock } from '@ambit/core';

export class RateLimiter {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #burst: number;
  /** When the next one would be due if none had been saved up. */
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(options: {
    readonly clock: Clock;
    readonly perSecond: number;
    /** How many may come at once after a quiet time. Default 1. */
    readonly burst?: number;
  }) {
    this.#clock = options.clock;
    this.#intervalMs = 1000 / options.perSecond;
    this.#burst = options.burst ?? 1;
  }

  /** Resolves when it is this caller's turn. A turn that is given up is lost. */
  async take(signal: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    const saved = now - (this.#burst - 1) * this.#intervalMs;
    const at = Math.max(this.#nextAt, saved);
    this.#nextAt = at + this.#intervalMs;
    if (at > now) {
      await this.#clock.sleep(at - now, signal);
    }
  }
}
