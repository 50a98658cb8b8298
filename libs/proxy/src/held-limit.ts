/**
 * How much a worker may hold for receivers that do not read, from what its heap may take.
 *
 * Rule: outside of heaps there is as much as all heaps of workers may take (docs/limits.md). Half of a worker's part is for bytes on
 * their way; the rest for TLS, for windows of tunnels and for code.
 */
import type { ResourceLimits } from 'node:worker_threads';

const SHARE = 0.5;
const MIB = 2 ** 20;

export function heldBytesMax(limits: ResourceLimits): number {
  const { maxOldGenerationSizeMb = 0, maxYoungGenerationSizeMb = 0 } = limits;
  return (maxOldGenerationSizeMb + maxYoungGenerationSizeMb) * MIB * SHARE;
}
