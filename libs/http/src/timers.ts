/**
 * Timeouts of requests: those of one length share one timer, so that setting and dropping one costs next to nothing.
 *
 * Lengths that clients may choose (`grpc-timeout`) are many; beyond a bound each timeout has a timer of its own.
 */
import type { Clock } from '@ambit/core';
import { Deadlines, FINISHED } from '@ambit/proxy';

const LENGTHS_MAX = 64;
/** What a timer of the machine holds: 24 days. A longer timeout is none. */
const MS_MAX = 2 ** 31 - 1;

/** Drops a timeout. Idempotent, also after it fired. */
export type CancelTimer = () => void;

export class Timers {
  readonly #clock: Clock;
  readonly #lengths = new Map<number, Deadlines>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `fire` once after `ms`. It must not throw. */
  after(ms: number, fire: () => void): CancelTimer {
    if (!(ms <= MS_MAX)) {
      return nothing;
    }
    const deadlines = this.#ofLength(Math.ceil(ms));
    if (deadlines === undefined) {
      return this.#alone(ms, fire);
    }
    const entry = deadlines.add(fire);
    return () => deadlines.cancel(entry);
  }

  #ofLength(ms: number): Deadlines | undefined {
    const known = this.#lengths.get(ms);
    if (known !== undefined) {
      return known;
    }
    if (this.#lengths.size >= LENGTHS_MAX && !this.#forgetUnused()) {
      return undefined;
    }
    const made = new Deadlines(this.#clock, ms);
    this.#lengths.set(ms, made);
    return made;
  }

  #forgetUnused(): boolean {
    for (const [ms, deadlines] of this.#lengths) {
      if (deadlines.size === 0) {
        this.#lengths.delete(ms);
      }
    }
    return this.#lengths.size < LENGTHS_MAX;
  }

  #alone(ms: number, fire: () => void): CancelTimer {
    const stop = new AbortController();
    this.#clock.sleep(ms, stop.signal).then(fire, () => undefined);
    return () => stop.abort(FINISHED);
  }
}

function nothing(): void {}
