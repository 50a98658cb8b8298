/**
 * A policy as agents get it: without HTTP kinds, with exactly the meaning that `evaluate` gives the full
 * policy at a TCP point.
 *
 * A DENY match that only had HTTP kinds holds for everyone. On the wire an empty match counts as false,
 * so its clause is left out instead: a clause that always holds changes nothing in an AND.
 */
import { hasL7, isEmptyL4 } from './match-shapes.ts';
import type { Clause, CompiledPolicy, Rule } from './types.ts';

export function l4Only(policy: CompiledPolicy): CompiledPolicy {
  if (!policy.rules.some(ruleHasL7)) {
    return policy;
  }
  const rules =
    policy.action === 'ALLOW'
      ? policy.rules.filter((rule) => !ruleHasL7(rule))
      : policy.rules.map((rule) => ({ clauses: rule.clauses.flatMap(stripClause) }));
  return { ...policy, rules };
}

function ruleHasL7(rule: Rule): boolean {
  return rule.clauses.some((clause) => clause.matches.some(hasL7));
}

function stripClause(clause: Clause): readonly Clause[] {
  if (clause.matches.some((match) => hasL7(match) && isEmptyL4(match))) {
    return [];
  }
  return [{ ...clause, matches: clause.matches.map(({ l4 }) => ({ l4 })) }];
}
