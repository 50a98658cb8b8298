/** The plugin's own log: JSON lines in `RUN/cni.log`, two files of at most 512 KiB. Only what is worth a line. */
import { appendFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

const FILE_BYTES_MAX = 512 * 1024;
const FIELD_CHARS_MAX = 1_000;

/** Never throws: a full disk must not hold up a pod. */
export function logLine(
  runDir: string,
  wallMs: number,
  fields: Readonly<Record<string, string>>,
): void {
  const cut = Object.entries(fields).map(([key, text]) => [key, text.slice(0, FIELD_CHARS_MAX)]);
  const line = { time: new Date(wallMs).toISOString(), ...Object.fromEntries(cut) };
  const path = join(runDir, 'cni.log');
  try {
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > FILE_BYTES_MAX) {
      renameSync(path, `${path}.1`);
    }
    appendFileSync(path, `${JSON.stringify(line)}\n`, { mode: 0o600 });
  } catch {
    // The answer on stdout says the same to whoever asked.
  }
}
