/** File descriptors of this process, for its metrics; 0 where /proc is not there. */
import { readdirSync, readFileSync } from 'node:fs';

export function openFds(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0; // not Linux
  }
}

export function maxFds(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0);
  } catch {
    return 0; // not Linux
  }
}
