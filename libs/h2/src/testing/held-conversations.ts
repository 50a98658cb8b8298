/** Conversations (conversation.ts) as they are held with a peer of another make: which, how many at a time, and what has to come of them. */
import assert from 'node:assert/strict';
import { Random } from '@ambit/core/fuzzing';
import { expectedOf, makePlan, type Plan, type Result } from './conversation.ts';

/** At a time: below the streams that either side takes, so that none is refused. */
const AT_ONCE = 50;
const SEED = 7;

export function plansOf(count: number): readonly Plan[] {
  return Array.from({ length: count }, (_, index) => makePlan(new Random(SEED, index), index));
}

/** As many at a time as allowed, in the order of the plans. */
export async function holdAll(
  plans: readonly Plan[],
  hold: (plan: Plan) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const queue = [...plans];
  const next = async (): Promise<void> => {
    for (let plan = queue.shift(); plan !== undefined; plan = queue.shift()) {
      results.push(await hold(plan));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
  return results;
}

/** Only what the plan decides; a server that was cancelled may have said anything. */
export function compare(plans: readonly Plan[], results: readonly Result[]): void {
  assert.equal(results.length, plans.length);
  for (const result of results) {
    const plan = plans[result.Index];
    assert.ok(plan !== undefined);
    const expected = expectedOf(plan);
    const seen = Object.fromEntries(
      Object.keys(expected).map((key) => [key, result[key as keyof Result]]),
    );
    assert.deepEqual(seen, expected, JSON.stringify({ plan, result }).slice(0, 2_000));
  }
}
