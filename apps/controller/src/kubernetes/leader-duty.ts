/**
 * What only the holder of the lease does: one time of leading after the other, and what began with a signal has ended
 * before the next begins.
 */
export abstract class LeaderDuty {
  #running: Promise<void> = Promise.resolve();

  /**
   * Begins; returns at once. When the signal aborts nothing is written any more. Called again, with a new signal,
   * each time the lease is taken.
   */
  lead(signal: AbortSignal): void {
    this.#running = this.#running.then(async () => {
      if (!signal.aborted) await this.run(signal);
    });
  }

  /** What is under way has ended. */
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
