/** How long what is no longer wanted stays: proxies must stop using it first, and a quick change of mind must not restart it. */
import type { Clock } from '@ambit/core';

export class Linger {
  readonly #clock: Clock;
  readonly #lingerMs: number;
  /** Waypoint → part → since when it is not wanted. */
  readonly #since = new Map<string, ReadonlyMap<string, number>>();

  constructor(options: { readonly clock: Clock; readonly lingerMs: number }) {
    this.#clock = options.clock;
    this.#lingerMs = options.lingerMs;
  }

  /** Of the parts of a waypoint that are not wanted now: those whose time is over, and when the next one's is. Others are forgotten. */
  due(
    waypoint: string,
    unwanted: readonly string[],
  ): { readonly parts: ReadonlySet<string>; readonly againMs: number | undefined } {
    const now = this.#clock.now();
    const before = this.#since.get(waypoint);
    const since = new Map(unwanted.map((part) => [part, before?.get(part) ?? now]));
    if (since.size === 0) this.#since.delete(waypoint);
    else this.#since.set(waypoint, since);
    const left = [...since].map(([part, at]) => [part, at + this.#lingerMs - now] as const);
    const waits = left.map(([, ms]) => ms).filter((ms) => ms > 0);
    return {
      parts: new Set(left.filter(([, ms]) => ms <= 0).map(([part]) => part)),
      againMs: waits.length === 0 ? undefined : Math.min(...waits),
    };
  }
}
