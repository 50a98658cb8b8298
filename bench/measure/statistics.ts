/** What is said about a handful of samples: the median and the range, never a mean (one bad round would move it). */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** Undefined for no samples. The median of an even count is the mean of the middle two. */
export function spreadOf(samples: readonly number[]): Spread | undefined {
  const sorted = samples.toSorted((a, b) => a - b);
  const min = sorted[0];
  const max = sorted.at(-1);
  if (min === undefined || max === undefined) {
    return undefined;
  }
  const upper = sorted[Math.floor(sorted.length / 2)] ?? max;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? min;
  return { median: (lower + upper) / 2, min, max, count: sorted.length };
}

/**
 * Ratios of samples of the same round: what two subjects did minutes apart says little on a shared machine.
 * Rounds that only one of them has are left out, and so are rounds in which the base is zero.
 */
export function pairedRatios(
  samples: ReadonlyMap<number, number>,
  base: ReadonlyMap<number, number>,
): number[] {
  const ratios: number[] = [];
  for (const [round, value] of samples) {
    const divisor = base.get(round);
    if (divisor !== undefined && divisor !== 0) {
      ratios.push(value / divisor);
    }
  }
  return ratios;
}
