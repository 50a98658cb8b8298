/** What `bench/run.ts` hands to a suite, and gets back. */
import type { BenchResult } from '../measure/result.ts';

export interface SuiteOptions {
  readonly rounds: number;
  /** Short samples: to see that everything runs. */
  readonly quick: boolean;
  /** False: only the peers. */
  readonly ambit: boolean;
  /** Names of cases; empty: all. */
  readonly cases: readonly string[];
  /** Where downloads of a run are kept; outside the repository's files. */
  readonly cache: string;
  readonly onProgress: (line: string) => void;
  /** Aborts when the person stops the run; the lab is then removed and nothing is written. */
  readonly signal: AbortSignal;
}

export type SuiteResult = Pick<
  BenchResult,
  'settings' | 'subjects' | 'skipped' | 'metrics' | 'samples' | 'failures'
>;

/** Those of `all` that were asked for. Throws for a name that is none. */
export function chosenCases<Case extends string>(
  all: readonly Case[],
  { cases }: Pick<SuiteOptions, 'cases'>,
): readonly Case[] {
  const unknown = cases.filter((name) => !(all as readonly string[]).includes(name));
  if (unknown.length > 0) {
    throw new Error(`no case ${unknown.join(', ')}; there are ${all.join(', ')}`);
  }
  return cases.length === 0 ? all : all.filter((name) => cases.includes(name));
}

export type Suite = (options: SuiteOptions) => Promise<SuiteResult>;
