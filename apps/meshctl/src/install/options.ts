/** Options that several commands of the installation read alike. */
import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `90`, `90s`, `5m`, `1h`. */
export function parseTimeout(written: string): number {
  const match = /^(\d{1,6})(ms|s|m|h)?$/.exec(written);
  if (match === null) throw new InvalidArgumentError('allowed: 90s, 5m, 1h');
  return Number(match[1]) * (UNITS[match[2] ?? 's'] ?? 1_000);
}
