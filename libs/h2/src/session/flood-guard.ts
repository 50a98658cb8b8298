/** One bucket for each kind of frame that can come in floods, made when the first one comes. */
import type { Clock } from '@ambit/core';
import type { Flood, Rate } from './limits.ts';
import type { PeerConduct } from './probation.ts';
import { TokenBucket } from './token-bucket.ts';

export class FloodGuard {
  readonly #clock: Clock;
  readonly #rates: Readonly<Record<Flood, Rate>>;
  readonly #conduct: PeerConduct | undefined;
  readonly #buckets: Partial<Record<Flood, TokenBucket>> = {};

  constructor(clock: Clock, rates: Readonly<Record<Flood, Rate>>, conduct?: PeerConduct) {
    this.#clock = clock;
    this.#rates = rates;
    this.#conduct = conduct;
  }

  /** False: too many. */
  take(flood: Flood): boolean {
    let bucket = this.#buckets[flood];
    if (bucket === undefined) {
      const rate = this.#rates[flood];
      bucket = new TokenBucket(this.#clock, rate, this.#conduct?.begin(flood, rate));
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
