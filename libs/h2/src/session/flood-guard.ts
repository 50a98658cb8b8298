/** One bucket for each kind of frame that can come in floods, made when the first one comes. */
import type { Clock } from '@ambit/core';
import type { Flood, Rate } from './limits.ts';
import { TokenBucket } from './token-bucket.ts';

export class FloodGuard {
  readonly #clock: Clock;
  readonly #rates: Readonly<Record<Flood, Rate>>;
  readonly #buckets: Partial<Record<Flood, TokenBucket>> = {};

  constructor(clock: Clock, rates: Readonly<Record<Flood, Rate>>) {
    this.#clock = clock;
    this.#rates = rates;
  }

  /** False: too many. */
  take(flood: Flood): boolean {
    let bucket = this.#buckets[flood];
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#clock, this.#rates[flood]);
      this.#buckets[flood] = bucket;
    }
    return bucket.take();
  }

  /**
   * DATA was sent: a peer answers each frame with updates of two windows, and some measure the way with a PING.
   */
  onSent(bytes: number, frames: number): void {
    this.#buckets.windowUpdates?.earn(frames * 4 + bytes / 4096);
    this.#buckets.pings?.earn(frames);
  }
}
