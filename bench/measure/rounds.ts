/**
 * Rounds A/B/C, B/C/A, …: every subject is measured once a round, close in time to the others, and none is always
 * first. A failing sample is recorded and the run goes on: nine good rows must not be lost to the tenth.
 */
import { watchConditions } from './machine.ts';
import type { Failure, Sample } from './result.ts';

export interface RoundsOptions {
  readonly rounds: number;
  /** Before the first, and not counted: a program that runs for days has compiled what it does often. */
  readonly warmUpRounds?: number;
  readonly cases: readonly string[];
  /** Names of those that can do the case. */
  readonly subjectsOf: (caseName: string) => readonly string[];
  readonly measure: (caseName: string, subject: string) => Promise<Record<string, number>>;
  readonly onProgress: (line: string) => void;
  /** Ends the run after the sample under way. */
  readonly signal: AbortSignal;
}

export async function runRounds(
  options: RoundsOptions,
): Promise<{ readonly samples: Sample[]; readonly failures: Failure[] }> {
  const samples: Sample[] = [];
  const failures: Failure[] = [];
  for (let round = -(options.warmUpRounds ?? 0); round < options.rounds; round += 1) {
    for (const caseName of options.cases) {
      for (const subject of rotated(options.subjectsOf(caseName), Math.max(0, round))) {
        options.signal.throwIfAborted();
        const at = { case: caseName, subject, round };
        const which = round < 0 ? 'warm-up' : `round ${round + 1}/${options.rounds}`;
        const label = `${which} ${caseName} ${subject}`;
        const end = watchConditions();
        try {
          const values = await options.measure(caseName, subject);
          if (round >= 0) {
            samples.push({ ...at, values, conditions: end() });
          }
          options.onProgress(`${label}: ${valuesLine(values)}`);
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          if (round >= 0) {
            failures.push({ ...at, reason: reason.slice(0, 2_000) });
          }
          options.onProgress(`${label}: FAILED ${reason}`);
        }
      }
    }
  }
  return { samples, failures };
}

/** The list, started `by` places later. */
export function rotated<T>(list: readonly T[], by: number): T[] {
  const start = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

function valuesLine(values: Readonly<Record<string, number>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key} ${Number(value.toPrecision(4))}`)
    .join(', ');
}
