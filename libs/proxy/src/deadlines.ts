/**
 * Many timeouts of one length on one timer, for what happens per connection or request.
 *
 * Rule: adding and cancelling cost no timer, no abort and no error; entries are in order of their due
 * time because all wait equally long, so only the first is ever looked at. They are linked, and an entry that
 * left knows no other: whoever holds on to it keeps nothing else (see `Roster` of core). The timer runs on when the
 * last is cancelled, for the next ones, and keeps no process alive.
 */
import type { Clock } from '@ambit/core';

export interface Deadline {
  readonly dueAt: number;
}

interface Entry extends Deadline {
  fire: (() => void) | undefined;
  earlier: Entry | undefined;
  later: Entry | undefined;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #ms: number;
  #first: Entry | undefined;
  #last: Entry | undefined;
  #size = 0;
  #isRunning = false;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  get size(): number {
    return this.#size;
  }

  /** Calls `fire` once, `ms` from now, unless cancelled. `fire` must not throw. */
  add(fire: () => void): Deadline {
    const earlier = this.#last;
    const entry = { dueAt: this.#clock.now() + this.#ms, fire, earlier, later: undefined };
    if (earlier === undefined) {
      this.#first = entry;
    } else {
      earlier.later = entry;
    }
    this.#last = entry;
    this.#size += 1;
    if (!this.#isRunning) {
      this.#isRunning = true;
      this.#run().catch(() => {
        this.#isRunning = false;
      });
    }
    return entry;
  }

  /** One that `add` gave. Idempotent, also after it fired. */
  cancel(deadline: Deadline): void {
    this.#remove(deadline as Entry);
  }

  /** What it was to do; undefined: it was removed before. */
  #remove(entry: Entry): (() => void) | undefined {
    const { fire, earlier, later } = entry;
    if (fire === undefined) {
      return undefined;
    }
    if (earlier === undefined) {
      this.#first = later;
    } else {
      earlier.later = later;
    }
    if (later === undefined) {
      this.#last = earlier;
    } else {
      later.earlier = earlier;
    }
    entry.fire = undefined;
    entry.earlier = undefined;
    entry.later = undefined;
    this.#size -= 1;
    return fire;
  }

  async #run(): Promise<void> {
    for (;;) {
      const first = this.#first;
      if (first === undefined) {
        this.#isRunning = false;
        return;
      }
      const waitMs = first.dueAt - this.#clock.now();
      if (waitMs <= 0) {
        this.#remove(first)?.();
        continue;
      }
      await this.#clock.sleep(waitMs, undefined, { ref: false });
    }
  }
}
