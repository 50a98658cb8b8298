/** Runs a job soon after it was asked for, never twice at a time, once for many askings. */
import type { Clock } from '@ambit/core';
import { pause } from './pause.ts';

export class Coalesced {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #job: () => Promise<void>;
  readonly #closed = new AbortController();
  readonly #waiting = new Set<() => void>();
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

  /** Asks, and resolves when a job has ended that began afterwards, or none will any more. */
  async done(): Promise<void> {
    if (!this.#closed.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      this.ask();
      await promise;
    }
  }

  /** Resolves when no job runs; none starts afterwards. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
    this.#release(this.#waiting);
  }

  async #run(): Promise<void> {
    while (this.#isAsked) {
      if (!(await pause(this.#clock, this.#delayMs, this.#closed.signal))) {
        return;
      }
      this.#isAsked = false;
      const waiting = new Set(this.#waiting);
      await this.#job();
      this.#release(waiting);
    }
  }

  #release(waiting: ReadonlySet<() => void>): void {
    for (const resolve of waiting) {
      this.#waiting.delete(resolve);
      resolve();
    }
  }
}
