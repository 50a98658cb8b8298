/**
 * Policies that are accepted and do not hold for every caller: a waypoint that decides nothing for this mesh stands between callers and
 * pods, so that agents see the waypoint and not the caller, or nothing of this mesh stands before a target. Such a waypoint is another
 * mesh's beside this one, or a proxy behind its agent; or none is had. So are those that no proxy decides yet: tokens are checked by nobody.
 *
 * Rule: `Enforced` is not True while an object has one of these findings.
 */
import type { AuthorizationPolicy, Finding, ObjectKey } from '@ambit/api';
import type { CompiledPolicy, L4Match, Match, Rule, StringPattern } from '@ambit/policy';
import { behindAgentOf, runsWaypoint } from '../address/gateway-pods.ts';
import { BY_OBJECT, type Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { keyOf, type Labels, selects } from '../objects/keys.ts';
import { DATAPLANE_MODE, USE_WAYPOINT } from '../objects/labels.ts';
import { DEFAULT_REVISION } from '../objects/revision.ts';
import { ANY, BY_ANY, BY_NAMESPACE, hasSelector, targetBucket } from '../objects/sources.ts';
import type { Condition } from '../types.ts';
import { foreignWaypoint } from '../waypoint/foreign.ts';
import type { Binding, WaypointDefinition } from '../waypoint/waypoints.ts';
import { isInMesh } from '../workload/enrolment.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import { condition, listKeys, warning } from './conditions.ts';
import { type StandingReason, standingText, type WaypointStanding } from './status-context.ts';

/** Codes of the findings, and the reasons that `Enforced` gives for them. */
export const UNJUDGED = {
  CALLER_HIDDEN: 'CallerHidden',
  WAYPOINT_NOT_MADE: 'WaypointNotMade',
  WAYPOINT_UNJUDGED: 'WaypointUnjudged',
  WAYPOINT_BEHIND_AGENT: 'WaypointBehindAgent',
  TOKENS_UNCHECKED: 'TokensUnchecked',
  WAYPOINT_OPTED_OUT: 'WaypointOptedOut',
  WAYPOINT_NOT_FOUND: 'WaypointNotFound',
  WAYPOINT_FOREIGN: 'WaypointForeign',
  NAMESPACE_FOREIGN: 'NamespaceForeign',
  WAYPOINT_ATTACHMENT_DENIED: 'AttachmentDenied',
  WAYPOINT_TRAFFIC_TYPE: 'UnsupportedTrafficType',
} as const satisfies Readonly<Record<string, string>>;

/** What is said of a way on which nobody judges by a policy. */
const OPEN_WAYS: Readonly<Record<Exclude<StandingReason, 'Bound'>, keyof typeof UNJUDGED>> = {
  OptedOut: 'WAYPOINT_OPTED_OUT',
  WaypointNotFound: 'WAYPOINT_NOT_FOUND',
  WaypointForeign: 'WAYPOINT_FOREIGN',
  NamespaceForeign: 'NAMESPACE_FOREIGN',
  AttachmentDenied: 'WAYPOINT_ATTACHMENT_DENIED',
  UnsupportedTrafficType: 'WAYPOINT_TRAFFIC_TYPE',
  BehindAgent: 'WAYPOINT_BEHIND_AGENT',
};

const TARGET_IT = 'target the waypoint by spec.targetRefs, or what stands behind it';
const SELECT_OTHERS = `select the pods that it is for by spec.selector, or label the waypoint ${DATAPLANE_MODE}: none, as those that are made here`;

export type UnjudgedReason = (typeof UNJUDGED)[keyof typeof UNJUDGED];

/** Why a policy with these findings does not hold for every caller; undefined: nothing here says so. */
export function unjudged(
  findings: readonly Finding[],
): { readonly reason: UnjudgedReason; readonly message: string } | undefined {
  for (const { code, message, fix } of findings) {
    const reason = Object.entries(UNJUDGED).find(([known]) => known === code)?.[1];
    if (reason !== undefined) {
      return { reason, message: fix === undefined ? message : `${message}; ${fix}` };
    }
  }
  return undefined;
}

/** A way to a workload that leads through a waypoint which decides nothing here. */
interface Door {
  /** The Service, or the workload where its own label says so. */
  readonly subject: ObjectKey;
  readonly waypoint: Pick<WaypointDefinition, 'key' | 'identity' | 'namespace' | 'serviceAccount'>;
  /** A proxy behind its agent, which sees the callers. */
  readonly isBehindAgent: boolean;
}

/** A workload of this mesh behind waypoints that decide nothing here. */
export interface BehindForeign {
  readonly namespace: string;
  readonly labels: Labels;
  readonly doors: readonly Door[];
}

export function deriveBehindForeign(graph: Graph, derived: Derived): Collection<BehindForeign> {
  return graph
    .map('behind-foreign', derived.workloadSpecs, (workload): BehindForeign | undefined => {
      if (!isInMesh(workload, derived)) return undefined;
      const doors = doorsOf(workload, derived);
      const { namespace, labels } = workload;
      return doors.length === 0 ? undefined : { namespace, labels, doors };
    })
    .addIndex(BY_ANY, () => [ANY])
    .addIndex(BY_NAMESPACE, ({ namespace }) => [namespace]);
}

function doorsOf({ uid, object, gateway }: WorkloadSpec, derived: Derived): readonly Door[] {
  const { memberships, serviceBindings, workloadBindings, services } = derived;
  const ways = Object.keys(memberships.get(uid) ?? {}).map(
    (key) => [services.get(key)?.object ?? key, serviceBindings.get(key)] as const,
  );
  return [...ways, [object, workloadBindings.get(uid)] as const].flatMap(([subject, binding]) => {
    const key = binding?.waypoint ?? '';
    const found = binding === undefined ? undefined : hidingWaypoint(key, binding, derived);
    // Its own pods' agent stands before the proxy, and sees who comes.
    if (found === undefined || key === gateway) return [];
    const { identity, namespace, serviceAccount } = found;
    // Of this mesh: to the agent of another's pods nobody here speaks.
    const isBehindAgent = binding?.reason === 'Bound';
    return [{ subject, waypoint: { key, identity, namespace, serviceAccount }, isBehindAgent }];
  });
}

/** Undefined: who decides there decides for this mesh, or callers do not go there. */
function hidingWaypoint(
  key: string,
  { reason, foreign }: Binding,
  derived: Derived,
): WaypointDefinition | undefined {
  if (reason === 'WaypointForeign' && foreign !== undefined) return foreignWaypoint(key, derived);
  const bound = reason === 'Bound' ? derived.waypoints.get(key) : undefined;
  return bound?.behindAgent === undefined ? undefined : bound;
}

/** Of a policy that agents decide: the ways on which its rules on the source judge a waypoint. */
export function hiddenCallers(
  policy: AuthorizationPolicy,
  derived: Derived,
  behind: Collection<BehindForeign>,
): readonly Finding[] {
  const info = derived.policies.get(keyOf(policy));
  if (info === undefined || info.isTargeted || info.needsL7 || !info.isEnforcing) return [];
  const ways = new Map<string, Door>();
  for (const { labels, doors } of concernedBy(policy, behind, derived)) {
    if (!selects(policy.spec.selector?.matchLabels ?? {}, labels)) continue;
    for (const door of doors) {
      const { subject, waypoint } = door;
      if (judgesWrongly(info.compiled, waypoint)) {
        ways.set(`${subject} (waypoint ${waypoint.key})`, door);
      }
    }
  }
  return [false, true].flatMap((isBehindAgent) => {
    const found = [...ways].filter(([, door]) => door.isBehindAgent === isBehindAgent);
    return found.length === 0 ? [] : [hiddenFinding(new Map(found), isBehindAgent)];
  });
}

function hiddenFinding(ways: ReadonlyMap<string, Door>, isBehindAgent: boolean): Finding {
  const subjects = listKeys([...new Set([...ways.values()].map(({ subject }) => subject))].sort());
  const whose = isBehindAgent ? 'that is a proxy behind its agent' : 'of another mesh';
  const message = `callers of ${listKeys([...ways.keys()].sort())} come through a waypoint ${whose}, so its rules on the source judge that waypoint and not them`;
  const way = isBehindAgent
    ? `select the pods of the waypoint by spec.selector, where their agent judges the callers`
    : `target ${subjects} by spec.targetRefs, so that the waypoint judges its callers`;
  const fix = `${way}, or take the label ${USE_WAYPOINT} off (it may be the namespace's), so that this mesh does`;
  return warning('CALLER_HIDDEN', 'spec.rules', message, fix);
}

function judgesWrongly({ action, rules }: CompiledPolicy, waypoint: Door['waypoint']): boolean {
  const isMeant = (rule: Rule): boolean =>
    matchesOf(rule).some(({ l4 }) => isNamed(waypoint, action, l4));
  return rules.some((rule) => matchesOf(rule).some(asksForSource) && !isMeant(rule));
}

const matchesOf = (rule: Rule): readonly Match[] => rule.clauses.flatMap(({ matches }) => matches);

/** Not where any identity will do: whoever comes through a waypoint has one. */
function asksForSource({ l4 }: Match): boolean {
  const patterns: readonly StringPattern[] = [
    ...l4.principals,
    ...l4.notPrincipals,
    ...l4.namespaces,
    ...l4.notNamespaces,
    ...l4.trustDomains,
    ...l4.notTrustDomains,
  ];
  const others = [l4.serviceAccounts, l4.notServiceAccounts, l4.sourceIps, l4.notSourceIps];
  return patterns.some(({ kind }) => kind !== 'presence') || others.some((list) => list.length > 0);
}

/** Who lets a waypoint in by its very name, or refuses all others, knows whom its callers come through. */
function isNamed(
  { identity, namespace, serviceAccount }: Door['waypoint'],
  action: CompiledPolicy['action'],
  l4: L4Match,
): boolean {
  const [principals, accounts] =
    action === 'ALLOW'
      ? [l4.principals, l4.serviceAccounts]
      : [l4.notPrincipals, l4.notServiceAccounts];
  return (
    principals.some((one) => one.kind === 'exact' && `spiffe://${one.value}` === identity) ||
    accounts.some((one) => one.namespace === namespace && one.name === serviceAccount)
  );
}

/** A captured pod that runs a waypoint of this mesh, before which therefore none stands. */
export interface CapturedWaypoint {
  readonly object: ObjectKey;
  readonly namespace: string;
  readonly labels: Labels;
  /** Its agent refuses everybody where an enforcing policy needs the request. */
  readonly isBehindAgent: boolean;
}

export function deriveCapturedWaypoints(
  graph: Graph,
  derived: Derived,
): Collection<CapturedWaypoint> {
  return graph
    .map('captured-waypoints', derived.workloadSpecs, (workload): CapturedWaypoint | undefined => {
      if (!isInMesh(workload, derived) || !runsWaypoint(workload, derived)) return undefined;
      const { object, namespace, labels } = workload;
      const isBehindAgent = behindAgentOf(workload, derived) !== undefined;
      return { object, namespace, labels, isBehindAgent };
    })
    .addIndex(BY_ANY, () => [ANY])
    .addIndex(BY_NAMESPACE, ({ namespace }) => [namespace]);
}

/** Of a policy that needs the request, whatever it selects: calls to such a pod itself are judged by nobody. */
export function unjudgedWaypoints(
  policy: AuthorizationPolicy,
  derived: Derived,
  captured: Collection<CapturedWaypoint>,
): readonly Finding[] {
  const info = derived.policies.get(keyOf(policy));
  if (info?.needsL7 !== true || info.isTargeted) return [];
  const selector = policy.spec.selector?.matchLabels ?? {};
  const pods = concernedBy(policy, captured, derived).filter(
    ({ labels, isBehindAgent }) =>
      selects(selector, labels) && !(isBehindAgent && info.isEnforcing),
  );
  if (pods.length === 0) return [];
  const names = listKeys(pods.map(({ object }) => object).sort());
  const message = `${names} runs a waypoint, before which no waypoint stands, so nobody judges calls to itself`;
  const code = pods.some(({ isBehindAgent }) => isBehindAgent)
    ? 'WAYPOINT_BEHIND_AGENT'
    : 'WAYPOINT_UNJUDGED';
  return [
    hasSelector(policy)
      ? warning(code, 'spec.selector', message, TARGET_IT)
      : warning(code, 'spec', message, SELECT_OTHERS),
  ];
}

/** Those in the scope of a policy, before its selector is asked. */
function concernedBy<V>(
  { metadata }: AuthorizationPolicy,
  pods: Collection<V>,
  { options }: Derived,
): readonly V[] {
  return metadata.namespace === options.rootNamespace
    ? pods.lookup(BY_ANY, ANY)
    : pods.lookup(BY_NAMESPACE, metadata.namespace);
}

/** Of a policy that a proxy behind its agent should judge by, or a waypoint that is not had, where no guard refuses callers for it. */
export function openWays(standings: readonly WaypointStanding[]): readonly Finding[] {
  return standings.flatMap((standing) => {
    const { reason, isOpen, subjects } = standing;
    if (!isOpen || reason === 'Bound') return [];
    const fix = `give ${listKeys(subjects)} a waypoint of this mesh that takes it (label ${USE_WAYPOINT})`;
    const way = reason === 'BehindAgent' ? `${fix}, or let the proxy judge` : fix;
    return [warning(OPEN_WAYS[reason], 'spec', standingText(standing), way)];
  });
}

/** Targets before which nobody of this mesh stands, because nothing is made in a namespace of another's. */
export interface UnmadeTargets {
  readonly condition?: Condition;
  readonly findings: readonly Finding[];
}

export function unmadeTargets(policy: AuthorizationPolicy, derived: Derived): UnmadeTargets {
  const { metadata, spec } = policy;
  const found = spec.targetRefs.flatMap((ref) => {
    const target = targetBucket(ref, metadata.namespace);
    const bindings = [...derived.services.keysOf(BY_OBJECT, target)].flatMap(
      (key) => derived.serviceBindings.get(key) ?? [],
    );
    const open = bindings.filter(({ reason }) => reason === 'NamespaceForeign');
    return open.length === 0
      ? []
      : [{ target, isClosed: open.every(({ foreign }) => foreign !== undefined) }];
  });
  if (found.length === 0) return { findings: [] };
  const names = listKeys(found.map(({ target }) => target));
  const meanwhile = found.every(({ isClosed }) => isClosed)
    ? 'callers in this mesh are refused'
    : 'callers go direct and nobody decides';
  const message = `no waypoint is made for ${names}: the namespace is another mesh's, and no pod there is of this one; ${meanwhile}`;
  const revision = derived.options.revision ?? DEFAULT_REVISION;
  const fix = `name a waypoint there (label ${USE_WAYPOINT}), or give the namespace to this mesh (label istio.io/rev: ${revision})`;
  const findings = [warning('WAYPOINT_NOT_MADE', 'spec.targetRefs', message, fix)];
  if (found.length < spec.targetRefs.length) return { findings };
  const text = `${message}; ${fix}`;
  return {
    condition: condition('Attached', 'False', 'NamespaceForeign', text, metadata.generation),
    findings,
  };
}
