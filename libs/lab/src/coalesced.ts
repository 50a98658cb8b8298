/** Runs a job soon after it was asked for, never twice at a time, once for many askings. */
import type { Clock } from '@ambit/core';

export class Coalesced {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #job: () => Promise<void>;
  readonly #closed = new AbortController();
  #isAsked = false;
  #running: Promise<void> | undefined;

  /** `job` must not reject. */
  constructor(clock: Clock, delayMs: number, job: () => Promise<void>) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#job = job;
  }

  ask(): void {
    this.#isAsked = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#isAsked && !this.#closed.signal.aborted) {
        this.ask();
      }
    });
  }

  /** Resolves when no job runs; none starts afterwards. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isAsked) {
      try {
        await this.#clock.sleep(this.#delayMs, this.#closed.signal);
      } catch {
        // Closed.
        return;
      }
      this.#isAsked = false;
      await this.#job();
    }
  }
}
