/** What `bench/run.ts` hands to a suite, and gets back. */
import type { BenchResult } from '../measure/result.ts';

export interface SuiteOptions {
  readonly rounds: number;
  /** Short samples: to see that everything runs. */
  readonly quick: boolean;
  /** False: only the peers. */
  readonly ambit: boolean;
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

export type Suite = (options: SuiteOptions) => Promise<SuiteResult>;
