/** Waiting for a date and for whatever comes first, without leaving a listener behind. */
import type { Clock } from '@ambit/core';

/** A wall clock can jump and a timer holds 24 days at most, so a long wait looks again. */
const STEP_MS_MAX = 600_000;

/** Resolves once the wall clock shows `wallMs`; rejects with the signal's reason. */
export async function sleepUntil(clock: Clock, wallMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  for (let leftMs = wallMs - clock.wallNow(); leftMs > 0; leftMs = wallMs - clock.wallNow()) {
    await clock.sleep(Math.min(leftMs, STEP_MS_MAX), signal);
  }
}

/** The promise's outcome, or a rejection with the signal's reason if that aborts first. */
export async function raceSignal<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) {
    return await promise;
  }
  if (signal.aborted) {
    // Whoever loses a race must still be handled.
    promise.catch(() => undefined);
    signal.throwIfAborted();
  }
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
