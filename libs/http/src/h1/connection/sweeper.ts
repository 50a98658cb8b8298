/**
 * One timer for all connections of a worker: each is asked once a period whether something of its own is due.
 *
 * So a request costs no timer, whatever it waits for; a timeout is late by a period at most. One that throws when it is asked keeps
 * nobody else from its turn, and is asked again the next time.
 */
import { type Clock, Roster, type RosterMember } from '@ambit/core';

export interface Swept {
  /** `nowMs` is the clock's. What it throws is an error of ours. */
  sweep(nowMs: number): void;
}

/** Who asked to be swept; for `delete`. */
export interface Sweeping extends RosterMember {
  readonly swept: Swept;
}

export interface SweeperOptions {
  /** What somebody threw. */
  readonly onError?: (error: unknown) => void;
}

const PERIOD_MS = 1_000;

export class Sweeper {
  readonly clock: Clock;
  readonly #onError: ((error: unknown) => void) | undefined;
  readonly #swept = new Roster<Sweeping>();
  #sleep: AbortController | undefined;

  constructor(clock: Clock, options: SweeperOptions = {}) {
    this.clock = clock;
    this.#onError = options.onError;
  }

  get size(): number {
    return this.#swept.size;
  }

  now(): number {
    return this.clock.now();
  }

  /** Runs while there is anything to ask. */
  add(swept: Swept): Sweeping {
    const sweeping = { swept, rosterSlot: -1 };
    this.#swept.add(sweeping);
    if (this.#sleep === undefined) {
      const sleep = new AbortController();
      this.#sleep = sleep;
      // What it ends with is that of the sleep.
      this.#run(sleep).catch(() => undefined);
    }
    return sweeping;
  }

  /** Idempotent. */
  delete(sweeping: Sweeping): void {
    this.#swept.delete(sweeping);
    if (this.#swept.size === 0) {
      // A timer that nobody waits for would keep the process alive.
      this.#sleep?.abort();
      this.#sleep = undefined;
    }
  }

  async #run(sleep: AbortController): Promise<void> {
    while (!sleep.signal.aborted) {
      await this.clock.sleep(PERIOD_MS, sleep.signal);
      const now = this.clock.now();
      for (const { swept } of this.#swept.all()) {
        try {
          swept.sweep(now);
        } catch (error) {
          this.#onError?.(error);
        }
      }
    }
  }
}
