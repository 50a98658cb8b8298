/**
 * One time of leading after the other: what began with a signal has ended before the next begins.
 */
import type { LeaderDuty } from '../context.ts';

export abstract class LeaderRun implements LeaderDuty {
  #running: Promise<void> = Promise.resolve();

  lead(signal: AbortSignal): void {
    this.#running = this.#running.then(async () => {
      if (!signal.aborted) await this.run(signal);
    });
  }

  async idle(): Promise<void> {
    await this.#running;
  }

  /** Until the signal aborts and all that was begun has ended. Does not reject. */
  protected abstract run(signal: AbortSignal): Promise<void>;
}

export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
