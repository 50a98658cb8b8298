/** Log files of a lab: appended to by the programs themselves, so they are bounded from outside. */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

const LOG_BYTES_MAX = 64 * 1024 * 1024;

/** Empties files that grew too large; their writers append, so they go on at the new end. */
export function keepLogsSmall(folder: string): void {
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    if (statSync(file).size > LOG_BYTES_MAX) {
      truncateSync(file, 0);
    }
  }
}
