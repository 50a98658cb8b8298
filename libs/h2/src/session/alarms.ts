/**
 * The deadlines of one session on one sleep.
 *
 * Rule: `set` replaces the deadline of its kind, and only one that is due before all others wakes anybody; a
 * cleared one costs at most one look at the clock.
 */
import type { Clock } from '@ambit/core';
import { FINISHED } from '@ambit/proxy';

/** The longest that a Clock sleeps. */
const SLEEP_MS_MAX = 2 ** 31 - 1;

/** What a session waits for. */
export type AlarmKind =
  | 'handshake'
  | 'settings-ack'
  | 'ping'
  | 'ping-answer'
  | 'probe'
  | 'drain'
  | 'watch'
  | 'close';

export class Alarms<Kind extends string> {
  readonly #clock: Clock;
  readonly #onAlarm: (kind: Kind) => void;
  readonly #dues = new Map<Kind, number>();
  #wakesAt = Number.POSITIVE_INFINITY;
  #sleep: AbortController | undefined;
  #isRunning = false;

  /** `onAlarm` must not throw. */
  constructor(clock: Clock, onAlarm: (kind: Kind) => void) {
    this.#clock = clock;
    this.#onAlarm = onAlarm;
  }

  set(kind: Kind, ms: number): void {
    const due = this.#clock.now() + ms;
    this.#dues.set(kind, due);
    if (!this.#isRunning) {
      this.#isRunning = true;
      this.#run().catch(() => {
        this.#isRunning = false;
      });
    } else if (due < this.#wakesAt) {
      this.#sleep?.abort(FINISHED);
    }
  }

  clear(kind: Kind): void {
    this.#dues.delete(kind);
    if (this.#dues.size === 0) {
      // A timer that nobody waits for would keep the process alive.
      this.#sleep?.abort(FINISHED);
    }
  }

  isSet(kind: Kind): boolean {
    return this.#dues.has(kind);
  }

  stop(): void {
    this.#dues.clear();
    this.#sleep?.abort(FINISHED);
  }

  async #run(): Promise<void> {
    while (this.#dues.size > 0) {
      const now = this.#clock.now();
      this.#wakesAt = Math.min(...this.#dues.values());
      if (this.#wakesAt <= now) {
        this.#fire(now);
      } else {
        await this.#sleepFor(Math.min(this.#wakesAt - now, SLEEP_MS_MAX));
      }
    }
    this.#isRunning = false;
  }

  async #sleepFor(ms: number): Promise<void> {
    this.#sleep = new AbortController();
    try {
      await this.#clock.sleep(ms, this.#sleep.signal);
    } catch {
      // Aborted: the deadlines have changed, and are looked at again.
    }
    this.#sleep = undefined;
  }

  #fire(now: number): void {
    for (const [kind, due] of [...this.#dues]) {
      if (due <= now && this.#dues.get(kind) === due) {
        this.#dues.delete(kind);
        this.#onAlarm(kind);
      }
    }
  }
}
