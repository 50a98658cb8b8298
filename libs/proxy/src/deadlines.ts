/**
 * Many timeouts of one length on one timer, for what happens per connection.
 *
 * Rule: adding and cancelling cost no timer, no abort and no error; entries are in order of their due
 * time because all wait equally long, so only the first is ever looked at.
 */
import type { Clock } from '@ambit/core';
import { FINISHED } from './finished.ts';

export interface Deadline {
  readonly dueAt: number;
  readonly fire: () => void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #entries = new Set<Deadline>();
  #isRunning = false;
  #sleep: AbortController | undefined;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Calls `fire` once, `ms` from now, unless cancelled. `fire` must not throw. */
  add(fire: () => void): Deadline {
    const entry = { dueAt: this.#clock.now() + this.#ms, fire };
    this.#entries.add(entry);
    if (!this.#isRunning) {
      this.#isRunning = true;
      this.#run().catch(() => {
        this.#isRunning = false;
      });
    }
    return entry;
  }

  /** Idempotent, also after it fired. */
  cancel(entry: Deadline): void {
    this.#entries.delete(entry);
    if (this.#entries.size === 0) {
      // A timer that nobody waits for would keep the process alive.
      this.#sleep?.abort(FINISHED);
    }
  }

  async #run(): Promise<void> {
    for (;;) {
      const [first] = this.#entries;
      if (first === undefined) {
        this.#isRunning = false;
        return;
      }
      const waitMs = first.dueAt - this.#clock.now();
      if (waitMs <= 0) {
        this.#entries.delete(first);
        first.fire();
        continue;
      }
      this.#sleep = new AbortController();
      try {
        await this.#clock.sleep(waitMs, this.#sleep.signal);
      } catch {
        // Cancelled because nobody was left; somebody may have come since.
      }
      this.#sleep = undefined;
    }
  }
}
