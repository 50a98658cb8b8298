/**
 * Policies on what a route makes of a request.
 *
 * A policy speaks of requests before the routes of its own namespace change them. What routes of others make of a request it judges
 * too: whoever may write a route in some namespace would otherwise write one around it.
 */
import type { ObjectKey } from '@ambit/api';
import {
  type CompiledPolicy,
  normalizePath,
  type RequestAttributes,
  withUpperEscapes,
} from '@ambit/policy';
import type { RouteDecision, WeightedCluster } from '@ambit/routing';

import { splitKey } from '../objects/keys.ts';
import type { Workload } from '../types.ts';
import { decideSet, type PolicyDecision } from './waypoint-authorization.ts';

export interface RewrittenRequest {
  /** The route that makes it. */
  readonly route: ObjectKey;
  readonly request: RequestAttributes;
}

/** The route by which that share of it may send another request than came to a workload of another namespace. */
export function foreignRewrite(
  { action, headers, rule }: Extract<RouteDecision, { readonly kind: 'route' }>,
  share: WeightedCluster,
  to: Pick<Workload, 'namespace'>,
): ObjectKey | undefined {
  const isChanged =
    action.path !== undefined ||
    action.authority !== undefined ||
    share.authority !== undefined ||
    headers.request.length > 0 ||
    share.headers.request.length > 0;
  if (!isChanged || rule === undefined) return undefined;
  const route = rule.origin.object;
  return splitKey(route).namespace === to.namespace ? undefined : route;
}

/**
 * `decision`: that the request may go to an endpoint as it came. What comes back allows both requests, with the notes of both, or
 * refuses the second. Only where `foreignRewrite` names a route.
 */
export function decideRewritten(
  decision: PolicyDecision,
  { route, request }: RewrittenRequest,
): PolicyDecision {
  const { namespace } = splitKey(route);
  const ofOthers = (some: readonly CompiledPolicy[]) =>
    some.filter((policy) => policy.namespace !== namespace);
  const { apart } = decision.set;
  const policies = ofOthers(decision.set.policies);
  if (policies.length === 0) return decision;
  const rest = { policies, missing: decision.set.missing };
  const set = apart === undefined ? rest : { ...rest, apart: apart.map(ofOthers) };
  const again = decideSet(set, { ...decision.input, request });
  const { verdict } = again;
  if (!verdict.allowed) return again;
  const { audited, dryRun } = decision.verdict;
  const notes = {
    audited: [...audited, ...verdict.audited.filter((ref) => !audited.some(isSame(ref)))],
    dryRun: [
      ...dryRun,
      ...verdict.dryRun.filter(
        (ref) => !dryRun.filter(({ wouldBe }) => wouldBe === ref.wouldBe).some(isSame(ref)),
      ),
    ],
  };
  return { ...decision, verdict: { ...decision.verdict, ...notes } };
}

/**
 * A path that a rewrite made, as policies judge it: without query. Undefined: servers could read it in more than one way, so that none of
 * them can be judged.
 */
export function judgedPath(rewritten: string): string | undefined {
  const normalized = normalizePath(rewritten);
  const [sent = ''] = rewritten.split('?', 1);
  return normalized.ok && normalized.path === withUpperEscapes(sent) ? normalized.path : undefined;
}

type Ref = PolicyDecision['verdict']['audited'][number];

function isSame({ policy, rule }: Ref): (other: Ref) => boolean {
  return (other) => other.policy === policy && other.rule === rule;
}
