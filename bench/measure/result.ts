/**
 * The shape of one bench run as it is kept in `bench/results`: every sample, and what a reader needs to judge them.
 *
 * Medians are not kept: the report makes them, so that they can never disagree with the samples.
 */
import type { Conditions, Machine } from './machine.ts';
import { pairedRatios } from './statistics.ts';

/** One column of numbers: a key of a sample's values. */
export interface Metric {
  readonly case: string;
  readonly key: string;
  /** With the unit. */
  readonly title: string;
  readonly digits: number;
  readonly better: 'lower' | 'higher';
  /** What is above the same value of this subject in the same round, as a latency that a proxy adds. */
  readonly above?: string;
  readonly goals?: readonly Goal[];
}

/** What Ambit sets itself for a metric: a ratio to a peer, or to itself in another case, of the same round. */
export interface Goal {
  /** Whose goal it is. */
  readonly subject: string;
  readonly peer: string;
  /** Of the peer; the metric's own when it is not said. */
  readonly case?: string;
  /** At most, or at least where more is better. */
  readonly ratio: number;
}

export interface Subject {
  readonly name: string;
  readonly title: string;
  readonly version: string;
  /** What a reader must know to compare it. */
  readonly note: string;
}

export interface Sample {
  readonly case: string;
  readonly subject: string;
  readonly round: number;
  readonly values: Readonly<Record<string, number>>;
  readonly conditions: Conditions;
}

export interface Failure {
  readonly case: string;
  readonly subject: string;
  readonly round: number;
  readonly reason: string;
}

export interface BenchResult {
  readonly suite: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Fewer and shorter samples, to see that it runs; no number of such a run means anything. */
  readonly quick: boolean;
  readonly machine: Machine;
  /** What the person who ran it says about the circumstances (`--note`). */
  readonly note?: string;
  /** What was held fixed: seconds, connections, congestion control, ciphers. */
  readonly settings: Readonly<Record<string, string | number>>;
  readonly subjects: readonly Subject[];
  readonly skipped: readonly { readonly subject: string; readonly reason: string }[];
  readonly metrics: readonly Metric[];
  readonly samples: readonly Sample[];
  readonly failures: readonly Failure[];
}

/** Above this the hypervisor was busy with others and the sample says nothing. */
export const STEAL_SHARE_MAX = 0.02;

/**
 * Ratios of two subjects in the same round. What is above another can be less than nothing where much else runs: such rounds
 * have no ratio.
 */
export function ratiosOf(
  result: BenchResult,
  metric: Metric,
  [subject, base]: readonly [name: string, base: string],
  baseCase = metric.case,
): number[] {
  const isGood = ([, value]: readonly [number, number]): boolean =>
    metric.above === undefined || value > 0;
  const values = (name: string, of: Metric): Map<number, number> =>
    new Map([...valuesByRound(result, name, of)].filter(isGood));
  return pairedRatios(values(subject, metric), values(base, { ...metric, case: baseCase }));
}

/** By round: the values of one metric that count. */
export function valuesByRound(
  result: BenchResult,
  subject: string,
  metric: Metric,
): Map<number, number> {
  const values = measuredByRound(result, subject, metric);
  if (metric.above === undefined) {
    return values;
  }
  if (subject === metric.above) {
    return new Map();
  }
  const base = measuredByRound(result, metric.above, metric);
  return new Map(
    [...values].flatMap(([round, value]) => {
      const below = base.get(round);
      return below === undefined ? [] : [[round, value - below] as const];
    }),
  );
}

function measuredByRound(
  result: BenchResult,
  subject: string,
  metric: Metric,
): Map<number, number> {
  const values = new Map<number, number>();
  for (const sample of result.samples) {
    const value = sample.values[metric.key];
    if (
      sample.case === metric.case &&
      sample.subject === subject &&
      sample.conditions.stealShare <= STEAL_SHARE_MAX &&
      value !== undefined
    ) {
      values.set(sample.round, value);
    }
  }
  return values;
}
