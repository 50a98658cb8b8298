/**
 * Durations as people write them: one or more of number and unit, `5s`, `0.5s`, `1h30m`, `100ms`.
 *
 * That is the union of what Istio (protobuf JSON, Go) and Gateway API (GEP-2257) accept.
 */
const UNIT_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 0.001,
  ns: 0.000_001,
};
/** The grammar as a pattern that an API server takes too; that it is at most a year, it cannot say. */
export const DURATION_PATTERN = '^([0-9]{1,12}(\\.[0-9]{1,9})?(h|ms|m|s|us|ns)){1,6}$';
const WHOLE = new RegExp(DURATION_PATTERN);
const PART = /(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)/g;

/** A year; nothing in a mesh waits longer, and it stays far below what a number holds exactly. */
export const DURATION_MS_MAX = 365 * 24 * 3_600_000;

/** Milliseconds (a nanosecond is the finest step), or undefined if `text` is no duration of at most a year. */
export function parseDuration(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(PART))
    total += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  const rounded = Math.round(total * 1e6) / 1e6;
  return rounded <= DURATION_MS_MAX ? rounded : undefined;
}

/** The shortest form that `parseDuration` reads back to the same number. */
export function formatDuration(ms: number): string {
  if (ms % 1000 === 0) return `${ms / 1000}s`;
  const whole = Math.floor(ms);
  const nanos = Math.round((ms - whole) * 1e6);
  return `${whole > 0 ? `${whole}ms` : ''}${nanos > 0 ? `${nanos}ns` : ''}`;
}
