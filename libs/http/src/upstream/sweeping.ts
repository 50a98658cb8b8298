/** The two pools look at what they hold from time to time. */
import type { Clock } from '@ambit/core';
import type { UpstreamLink } from './message.ts';

const SWEEP_MS = 10_000;
const IDLE_TIMEOUT_MS = 3_600_000;

/** Calls `sweep` until `stop` aborts. */
export async function sweepUntil(
  stop: AbortSignal,
  clock: Clock,
  sweep: (nowMs: number) => void,
): Promise<void> {
  try {
    for (;;) {
      await clock.sleep(SWEEP_MS, stop);
      sweep(clock.now());
    }
  } catch (error) {
    if (!stop.aborted) {
      throw error;
    }
  }
}

/** Whether a connection without a request is to be closed. */
export function isOverdue(link: UpstreamLink, idleMs: number): boolean {
  const limitMs = idleTimeoutOf(link);
  return (limitMs > 0 && idleMs >= limitMs) || link.hasLeft?.() === true;
}

/** How long a connection may stay without a request; 0: for ever. */
function idleTimeoutOf({ cluster }: UpstreamLink): number {
  const { http, tcp } = cluster.cluster.connectionPool;
  return http?.idleTimeoutMs ?? tcp?.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
}
