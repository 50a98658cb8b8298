/**
 * What only the holder of the lease does: one time of leading after the other, and what began with a signal has ended
 * before the next begins.
 */
export abstract class LeaderDuty {
  #running: Promise<void> = Promise.resolve();

  /**
   * Begins; returns at once. When the signal aborts nothing is written any more. Called again, with a new signal,
   * each time the lease is taken. `onFailure`: it ended before its time, and begins again when that has resolved; without it that
   * ends the process, and with it the work of all other duties.
   */
  lead(signal: AbortSignal, onFailure?: (error: unknown) => Promise<void>): void {
    this.#running = this.#running.then(async () => {
      while (!signal.aborted) {
        try {
          await this.run(signal);
          return;
        } catch (error) {
          if (signal.aborted) return;
          if (onFailure === undefined) throw error;
          await onFailure(error);
        }
      }
    });
  }

  /** What is under way has ended. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Until the signal aborts and all that was begun has ended. Rejects for what nobody thought of. */
  protected abstract run(signal: AbortSignal): Promise<void>;
}

export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
