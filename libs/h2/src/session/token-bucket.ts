/** So many at once, then so many a second. */
import type { Clock } from '@ambit/core';
import type { Rate } from './limits.ts';

export class TokenBucket {
  readonly #clock: Clock;
  readonly #rate: Rate;
  #tokens: number;
  #at: number;

  /** `tokens`: what is in it at first. */
  constructor(clock: Clock, rate: Rate, tokens: number = rate.burst) {
    this.#clock = clock;
    this.#rate = rate;
    this.#tokens = tokens;
    this.#at = clock.now();
  }

  /** False: too many. */
  take(): boolean {
    this.#refill();
    this.#tokens -= 1;
    return this.#tokens >= 0;
  }

  /** False: there is none. Unlike `take` it leaves no debt. */
  takeIfAny(): boolean {
    this.#refill();
    if (this.#tokens < 1) {
      return false;
    }
    this.#tokens -= 1;
    return true;
  }

  /** What is in it, and leaves nothing. */
  takeAll(): number {
    this.#refill();
    const all = Math.max(0, this.#tokens);
    this.#tokens = 0;
    return all;
  }

  /** Pays for what is a consequence of our own doing, up to as much again as `burst`. */
  earn(tokens: number): void {
    this.#tokens = Math.min(this.#rate.burst * 2, this.#tokens + tokens);
  }

  #refill(): void {
    const now = this.#clock.now();
    const earned = ((now - this.#at) / 1000) * this.#rate.perSecond;
    this.#at = now;
    this.#tokens = Math.min(Math.max(this.#tokens, this.#rate.burst), this.#tokens + earned);
  }
}
