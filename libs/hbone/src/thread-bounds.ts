/**
 * What the connections of a worker thread may hold together, from what its heap may take, and what they do.
 *
 * Rule: outside of heaps there is as much as all heaps of workers may take (docs/limits.md). Half of a thread's part is for bytes on
 * their way, a quarter for what windows of HTTP/2 grow by; the rest for TLS, for what windows begin with and for code.
 */
import type { ResourceLimits } from 'node:worker_threads';
import { threadWindowGrowth } from '@ambit/h2';
import { threadHeld } from '@ambit/proxy';

const HELD_SHARE = 0.5;
const WINDOWS_SHARE = 0.25;
const MIB = 2 ** 20;

/** Before the thread's first connection. */
export function boundThread(limits: ResourceLimits): void {
  const { maxOldGenerationSizeMb = 0, maxYoungGenerationSizeMb = 0 } = limits;
  const heapBytes = (maxOldGenerationSizeMb + maxYoungGenerationSizeMb) * MIB;
  threadHeld.max = heapBytes * HELD_SHARE;
  threadWindowGrowth.max = heapBytes * WINDOWS_SHARE;
}

/** Metrics by name. */
export function threadBoundMetrics(): Readonly<Record<string, number>> {
  return {
    ambit_held_bytes: threadHeld.bytes,
    ambit_held_limit_bytes: threadHeld.max,
    ambit_held_waits_total: threadHeld.waits,
    ambit_window_growth_bytes: threadWindowGrowth.bytes,
    ambit_window_growth_limit_bytes: threadWindowGrowth.max,
    ambit_window_growth_refused_total: threadWindowGrowth.refused,
  };
}
