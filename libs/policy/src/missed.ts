/**
 * Where nothing allowed: at which clauses each rule failed. For people (logs, `meshctl why`); it costs
 * an evaluation a clause, so it is called for refusals only.
 *
 * Rule: who is refused may ask again as fast as he likes, so nothing is compiled here twice.
 */
import { evaluate } from './evaluate.ts';
import type { Clause, CompiledPolicy, PolicyInput } from './types.ts';

export interface MissedRule {
  /** `namespace/name` */
  readonly policy: string;
  /** Index in the policy's rules; -1: it has no rules, so it allows nothing. */
  readonly rule: number;
  /** Origins of the clauses that did not hold, joined by `and`; empty for a policy without rules. */
  readonly failedAt: string;
}

const alone = new WeakMap<Clause, readonly CompiledPolicy[]>();

/** A policy of that clause and nothing else. Kept as long as the clause lives: `evaluate` prepares a policy once. */
function policyOf(clause: Clause, policy: CompiledPolicy): readonly CompiledPolicy[] {
  let policies = alone.get(clause);
  if (policies === undefined) {
    policies = [{ ...policy, rules: [{ clauses: [clause] }] }];
    alone.set(clause, policies);
  }
  return policies;
}

/** Each rule of each enforced ALLOW policy, in order, at most `limit`; `evaluate` answers each clause alone. */
export function missedRules(
  policies: readonly CompiledPolicy[],
  input: PolicyInput,
  limit: number,
): readonly MissedRule[] {
  const missed: MissedRule[] = [];
  for (const policy of policies) {
    if (policy.action !== 'ALLOW' || policy.dryRun) continue;
    const name = `${policy.namespace}/${policy.name}`;
    if (policy.rules.length === 0) {
      missed.push({ policy: name, rule: -1, failedAt: '' });
    }
    for (const [index, { clauses }] of policy.rules.entries()) {
      if (missed.length >= limit) return missed;
      const failed = clauses.filter((clause) => !evaluate(policyOf(clause, policy), input).allowed);
      const failedAt = failed.map(({ origin }) => origin || 'a condition').join(' and ');
      missed.push({ policy: name, rule: index, failedAt: failedAt || 'all of it' });
    }
  }
  return missed.slice(0, limit);
}

/** `rule 0 of shop/reviews fails at from`. */
export function describeMissedRule({ policy, rule, failedAt }: MissedRule): string {
  return rule < 0
    ? `${policy} has no rules, so it allows nothing`
    : `rule ${rule} of ${policy} fails at ${failedAt}`;
}
