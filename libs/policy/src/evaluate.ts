/**
 * The decision: DENY first, then ALLOW, else what ALLOW's absence means. AUDIT and dry-run only leave a note.
 *
 * A policy that is named but not here refuses everything that no DENY refused already: what is not known
 * could be a DENY.
 */
import { EvaluationContext } from './evaluation-context.ts';
import { type PreparedPolicy, type PreparedRule, preparePolicy, ruleMatches } from './prepare.ts';
import type { CompiledPolicy, PolicyInput, RuleRef, Verdict } from './types.ts';

export interface EvaluateOptions {
  /** `namespace/name` of policies that apply but have not arrived. */
  readonly missing?: readonly string[];
}

const NO_REFS: readonly RuleRef[] = [];
const NO_DRY_RUN: Verdict['dryRun'] = [];
const NO_NOTES = { audited: NO_REFS, dryRun: NO_DRY_RUN };
const NO_NAMES: readonly string[] = [];
const NO_OPTIONS: EvaluateOptions = {};

/**
 * `policies`: those that apply to the destination; the caller selects them. A pure function of its
 * arguments. Costs one context object a call, and nothing per policy.
 */
export function evaluate(
  policies: readonly CompiledPolicy[],
  input: PolicyInput,
  { missing = NO_NAMES }: EvaluateOptions = NO_OPTIONS,
): Verdict {
  const context = new EvaluationContext(input);
  const { audited, dryRun } = takeNotes(policies, context);
  const denied = firstMatch(policies, context, 'DENY');
  if (denied !== undefined) {
    return { allowed: false, reason: 'deny', by: denied, tried: NO_NAMES, audited, dryRun };
  }
  const [firstMissing] = missing;
  if (firstMissing !== undefined) {
    const by: RuleRef = { policy: firstMissing, rule: -1, clause: '' };
    return { allowed: false, reason: 'policy-missing', by, tried: missing, audited, dryRun };
  }
  const allowed = firstMatch(policies, context, 'ALLOW');
  if (allowed !== undefined) {
    return { allowed: true, reason: 'allow', by: allowed, tried: NO_NAMES, audited, dryRun };
  }
  const tried = enforcedAllowNames(policies);
  return tried.length === 0
    ? { allowed: true, reason: 'no-policy', tried, audited, dryRun }
    : { allowed: false, reason: 'no-match', tried, audited, dryRun };
}

/** The first enforced policy of that action with a rule that holds. */
function firstMatch(
  policies: readonly CompiledPolicy[],
  context: EvaluationContext,
  action: 'ALLOW' | 'DENY',
): RuleRef | undefined {
  for (const policy of policies) {
    if (policy.action === action && !policy.dryRun) {
      const rule = firstRule(preparePolicy(policy), context, action === 'DENY');
      if (rule !== undefined) {
        return rule.ref;
      }
    }
  }
  return undefined;
}

function firstRule(
  policy: PreparedPolicy,
  context: EvaluationContext,
  broad: boolean,
): PreparedRule | undefined {
  const { rules, byPath } = policy;
  if (byPath === undefined || context.request === undefined) {
    for (const rule of rules) {
      if (ruleMatches(rule, context, broad)) {
        return rule;
      }
    }
    return undefined;
  }
  for (const index of byPath.candidates(context.request.path)) {
    const rule = rules[index];
    if (rule !== undefined && ruleMatches(rule, context, broad)) {
      return rule;
    }
  }
  return undefined;
}

function enforcedAllowNames(policies: readonly CompiledPolicy[]): readonly string[] {
  let names: string[] | undefined;
  for (const policy of policies) {
    if (policy.action === 'ALLOW' && !policy.dryRun) {
      names ??= [];
      names.push(preparePolicy(policy).name);
    }
  }
  return names ?? NO_NAMES;
}

/** What AUDIT and dry-run policies would have said. */
function takeNotes(
  policies: readonly CompiledPolicy[],
  context: EvaluationContext,
): Pick<Verdict, 'audited' | 'dryRun'> {
  let audited: RuleRef[] | undefined;
  let dryRun: (RuleRef & { wouldBe: 'allow' | 'deny' })[] | undefined;
  for (const policy of policies) {
    if (policy.action === 'AUDIT') {
      const rule = firstRule(preparePolicy(policy), context, true);
      if (rule !== undefined) {
        audited ??= [];
        audited.push(rule.ref);
      }
    } else if (policy.dryRun) {
      const prepared = preparePolicy(policy);
      const rule = firstRule(prepared, context, policy.action === 'DENY');
      if (rule !== undefined || policy.action === 'ALLOW') {
        const wouldAllow = policy.action === 'ALLOW' && rule !== undefined;
        dryRun ??= [];
        dryRun.push({ ...(rule?.ref ?? prepared.ref), wouldBe: wouldAllow ? 'allow' : 'deny' });
      }
    }
  }
  return audited === undefined && dryRun === undefined
    ? NO_NOTES
    : { audited: audited ?? NO_REFS, dryRun: dryRun ?? NO_DRY_RUN };
}
