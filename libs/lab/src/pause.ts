/** Waiting that ends quietly when it is no longer wanted. */
import type { Clock } from '@ambit/core';

/** True when the time has passed, false when the signal ended it first. Never rejects. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch {
    // Aborted: the only way for a sleep to fail.
    return false;
  }
}
