/** A verdict as one sentence, for logs, error texts and `meshctl why`: which policy, which rule, which clauses. */
import { describeMissedRule, missedRules } from './missed.ts';
import { CONVERTED_PREFIX, STATIC_STRICT_NAME } from './peer-authentication.ts';
import type { CompiledPolicy, PolicyInput, RuleRef, Verdict } from './types.ts';

/**
 * What a request that policy refuses is told by a waypoint, whatever the reason: also while a policy is missing, since another
 * status would tell callers which of the two it is, and have them ask again.
 */
export const REFUSAL_ANSWER = { status: 403, body: 'RBAC: access denied' } as const;

/** Names beyond this many are counted, so that a line stays a line. */
const NAMES_SHOWN_MAX = 5;

export function explainVerdict(verdict: Verdict): string {
  switch (verdict.reason) {
    case 'no-policy':
      return 'no policy applies';
    case 'allow':
      return `allowed by ${verdict.by === undefined ? 'a policy' : describeRule(verdict.by)}`;
    case 'deny':
      return `denied by ${verdict.by === undefined ? 'a policy' : describeRule(verdict.by)}`;
    case 'no-match':
      return `allow policies exist, but none allowed: ${listNames(verdict.tried)}`;
    case 'policy-missing':
      return `refused until policy ${listNames(verdict.tried)} has arrived`;
  }
}

/** As `explainVerdict`, and where nothing allowed, at which clause each of the first rules failed. */
export function explainRefusal(
  verdict: Verdict,
  policies: readonly CompiledPolicy[],
  input: PolicyInput,
): string {
  const text = explainVerdict(verdict);
  if (verdict.reason !== 'no-match') {
    return text;
  }
  const missed = missedRules(policies, input, NAMES_SHOWN_MAX).map(describeMissedRule);
  return `${text} (${missed.join('; ')})`;
}

/** `AuthorizationPolicy shop/reviews rule 0 (from, to)`; converted policies are named as what they were. */
export function describeRule(ref: RuleRef): string {
  const slash = ref.policy.indexOf('/');
  const namespace = ref.policy.slice(0, slash);
  const name = ref.policy.slice(slash + 1);
  if (name === STATIC_STRICT_NAME) {
    return 'PeerAuthentication STRICT (caller without identity)';
  }
  if (name.startsWith(CONVERTED_PREFIX)) {
    const original = `${namespace}/${name.slice(CONVERTED_PREFIX.length)}`;
    return `PeerAuthentication ${original} (caller without identity)`;
  }
  const rule = ref.rule < 0 ? '' : ` rule ${ref.rule}`;
  const clause = ref.clause === '' ? '' : ` (${ref.clause})`;
  return `AuthorizationPolicy ${ref.policy}${rule}${clause}`;
}

function listNames(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}
