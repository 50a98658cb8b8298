/** Descriptors of this process, for its metrics. */
import { readdirSync, readFileSync } from 'node:fs';

export function openFds(): number {
  return readdirSync('/proc/self/fd').length;
}

export function maxFds(): number {
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return Number(line?.[1] ?? 0);
}
