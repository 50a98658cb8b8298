/**
 * Health checks: each has an id, says what it tests, and what to do when it fails.
 *
 * Rule: a check that could not be made counts as failed with the reason; nothing is fine because nobody looked.
 */
import { isKubeError } from '@ambit/kube';
import type { Cluster } from '../cluster.ts';

export interface CheckContext {
  readonly cluster: Cluster;
  readonly namespace: string;
}

export interface Outcome {
  readonly result: 'ok' | 'warning' | 'error';
  /** What was found; for `ok` a detail worth knowing. */
  readonly reason?: string;
}

export interface Check {
  readonly id: string;
  readonly category: string;
  readonly description: string;
  readonly hint: string;
  /** Without it the rest cannot be asked. */
  readonly isFatal?: boolean;
  readonly run: (context: CheckContext) => Promise<Outcome>;
}

export interface CheckResult extends Outcome {
  readonly id: string;
  readonly category: string;
  readonly description: string;
  readonly hint?: string;
}

export const ok = (reason?: string): Outcome => ({
  result: 'ok',
  ...(reason === undefined ? {} : { reason }),
});
export const warning = (reason: string): Outcome => ({ result: 'warning', reason });
export const error = (reason: string): Outcome => ({ result: 'error', reason });

/** Names of a list for one line. */
export function some(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

/** In order; ends at a fatal one that fails. */
export async function runChecks(
  checks: readonly Check[],
  context: CheckContext,
): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    const { id, category, description, hint, isFatal } = check;
    const outcome = await attempt(check, context);
    const shown = outcome.result === 'ok' ? {} : { hint };
    results.push({ id, category, description, ...outcome, ...shown });
    if (isFatal === true && outcome.result === 'error') break;
  }
  return results;
}

async function attempt(check: Check, context: CheckContext): Promise<Outcome> {
  try {
    return await check.run(context);
  } catch (failure) {
    if (isKubeError(failure)) return error(`could not be tested: ${failure.message}`);
    throw failure;
  }
}
