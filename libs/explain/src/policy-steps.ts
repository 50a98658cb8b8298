/**
 * What policy says of a connection or request: the verdict, what was noted, and, where nothing allowed
 * it, at which clause each rule failed. Every answer is `evaluate`'s own.
 */

import type { PolicyDecision } from '@ambit/model';
import {
  type CompiledPolicy,
  describeMissedRule,
  explainVerdict,
  missedRules,
  type PolicyInput,
  type RuleRef,
  type Verdict,
} from '@ambit/policy';
import type { PhaseName } from '@ambit/routing';
import { during, miss, note, pass } from './hop-parts.ts';
import type { End, ObjectReference, Step } from './types.ts';

export interface PolicyAnswer {
  readonly verdict: Verdict;
  readonly steps: readonly Step[];
  /** How it ends where policy refuses, without what the client gets to see. */
  readonly refusal: Pick<End, 'text' | 'objects' | 'phase'>;
}

/** Rules of policies that did not allow, at most; the rest is counted. */
const MISSED_RULES_MAX = 10;

/** The same verdict for the same reason. */
export function isSameAnswer(a: PolicyDecision, b: PolicyDecision): boolean {
  const left = a.verdict;
  const right = b.verdict;
  return (
    left.reason === right.reason &&
    left.by?.policy === right.by?.policy &&
    left.by?.rule === right.by?.rule &&
    left.tried.join() === right.tried.join()
  );
}

/** `phase`: in which a waypoint asks. */
export function describeDecision(
  { verdict, set, input }: PolicyDecision,
  phase?: PhaseName,
): PolicyAnswer {
  const text = `policy: ${explainVerdict(verdict)}`;
  const objects = responsible(verdict);
  const missed = verdict.reason === 'no-match' ? missedSteps(set.policies, input) : [];
  const steps = [
    ...verdict.audited.map((ref) => note('policy: noted by an AUDIT rule', ruleReferences(ref))),
    ...verdict.dryRun.map((ref) => {
      const wouldBe = ref.wouldBe === 'deny' ? 'denied' : 'allowed';
      return note(`policy: would be ${wouldBe}, but is a dry run`, ruleReferences(ref));
    }),
    ...(verdict.allowed ? [pass(text, objects)] : missed),
  ];
  const refusal = { text, objects, ...(phase === undefined ? {} : { phase }) };
  return { verdict, steps: during(phase, ...steps), refusal };
}

function responsible(verdict: Verdict): readonly ObjectReference[] {
  if (verdict.reason === 'no-match' || verdict.reason === 'policy-missing') {
    return verdict.tried.flatMap((name) => policyReferences(name));
  }
  return verdict.by === undefined ? [] : ruleReferences(verdict.by);
}

/** For each rule that could have allowed: the clauses that did not hold. */
function missedSteps(policies: readonly CompiledPolicy[], input: PolicyInput): readonly Step[] {
  const missed = missedRules(policies, input, MISSED_RULES_MAX + 1);
  const steps = missed
    .slice(0, MISSED_RULES_MAX)
    .map((rule) =>
      miss(`policy: ${describeMissedRule(rule)}`, policyReferences(rule.policy, rule.rule)),
    );
  return missed.length > MISSED_RULES_MAX
    ? [...steps, note('policy: more rules do not allow it either')]
    : steps;
}

const CONVERTED = /^(.*)\/converted_peer_authentication_(.*)$/;
/** Stands for STRICT of a namespace or the mesh; no object bears that name. */
const STATIC_STRICT = /\/istio_converted_static_strict$/;

/** Policies that came out of a PeerAuthentication point back to it. */
function policyReferences(name: string, rule = -1): readonly ObjectReference[] {
  if (STATIC_STRICT.test(name)) return [];
  const converted = CONVERTED.exec(name);
  if (converted !== null) return [{ key: `PeerAuthentication/${converted[1]}/${converted[2]}` }];
  const key = `AuthorizationPolicy/${name}`;
  return [rule < 0 ? { key } : { key, path: `spec.rules[${rule}]` }];
}

function ruleReferences(ref: RuleRef): readonly ObjectReference[] {
  return policyReferences(ref.policy, ref.rule);
}
