/**
 * The two pools look at what they hold from time to time.
 *
 * Rule: one that throws when it is looked at keeps no other from its turn, and none of the rounds that follow.
 */
import type { Clock } from '@ambit/core';
import type { UpstreamLink } from './message.ts';

const SWEEP_MS = 10_000;
const IDLE_TIMEOUT_MS = 3_600_000;

/** Is told what housekeeping threw: an error of ours. */
export type OnSweepError = (error: unknown) => void;

export interface Sweeps {
  readonly clock: Clock;
  readonly sweep: (nowMs: number) => void;
  readonly onError: OnSweepError | undefined;
}

/** Calls `sweep` until `stop` aborts. */
export async function sweepUntil(stop: AbortSignal, options: Sweeps): Promise<void> {
  const { clock, sweep, onError } = options;
  try {
    for (;;) {
      await clock.sleep(SWEEP_MS, stop);
      sweepEach([clock.now()], sweep, onError);
    }
  } catch (error) {
    if (!stop.aborted) {
      throw error;
    }
  }
}

/** Looks at each of them, whatever becomes of the others. */
export function sweepEach<T>(
  all: Iterable<T>,
  look: (one: T) => void,
  onError: OnSweepError | undefined,
): void {
  for (const one of all) {
    try {
      look(one);
    } catch (error) {
      onError?.(error);
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
