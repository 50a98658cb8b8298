/**
 * What the controller says of an object, as conditions of Kubernetes: which generation each is about, what explains it, and
 * which of ours that are there no longer hold.
 */
import type { Condition as KubeCondition, Status, WantedCondition } from '@ambit/kube';
import { mergeConditions } from '@ambit/kube';
import type { Condition, ObjectStatus } from '@ambit/model';

import { textWithFindings } from './condition-text.ts';

/** Types that are ours wherever they are found; others' stay as they are. */
const OWN_TYPES: readonly string[] = [
  'Accepted',
  'Attached',
  'Enforced',
  'Programmed',
  'ResolvedRefs',
  'WaypointReady',
];

/** Istio's name for what becomes of a service's waypoint. */
export const WAYPOINT_BOUND = 'istio.io/WaypointBound';

const BOUND_REASONS: Readonly<Record<string, string>> = {
  WaypointReady: 'WaypointAccepted',
  WaypointNotReady: 'WaypointIsNotReady',
};

/** What the condition says is another mesh's to say: it is neither written nor taken away. */
export function isBoundElsewhere({ conditions }: ObjectStatus): boolean {
  return conditions.some(
    ({ type, reason }) => type === 'WaypointReady' && reason === 'WaypointForeign',
  );
}

/** `generation`: of the version that was judged last, for what is said of a refused one. */
export function wantedConditions(
  { conditions, findings }: ObjectStatus,
  generation: number | undefined,
): readonly WantedCondition[] {
  const explained =
    conditions.find(({ type }) => type === 'Accepted') ?? conditions.find(() => true);
  return conditions.map((condition) => ({
    ...withGeneration(condition, generation),
    message:
      condition === explained ? textWithFindings(condition.message, findings) : condition.message,
  }));
}

/** Of a Service or ServiceEntry; undefined where no waypoint is asked for. */
export function waypointBound({ conditions, findings }: ObjectStatus): WantedCondition | undefined {
  const found = conditions.find(({ type }) => type === 'WaypointReady');
  if (found?.reason === 'WaypointForeign') return undefined;
  if (found === undefined && findings.length === 0) return undefined;
  const { status, reason, message } = found ?? {
    status: 'False' as const,
    reason: 'WaypointNotFound',
    message: '',
  };
  return {
    type: WAYPOINT_BOUND,
    status,
    reason: BOUND_REASONS[reason] ?? reason,
    message: textWithFindings(message, found === undefined ? findings : []),
  };
}

export interface MergedConditions {
  readonly wallNowMs: number;
  /** Default: all that are ours. */
  readonly ownTypes?: readonly string[];
}

/** `undefined` where there are none and none are wanted. */
export function mergedConditions(
  current: unknown,
  wanted: readonly WantedCondition[],
  { wallNowMs, ownTypes = OWN_TYPES }: MergedConditions,
): readonly KubeCondition[] | undefined {
  const before = Array.isArray(current) ? (current as readonly KubeCondition[]) : undefined;
  if (before === undefined && wanted.length === 0) return undefined;
  const remove = ownTypes.filter((type) => !wanted.some((condition) => condition.type === type));
  return mergeConditions(before, wanted, { wallNowMs, remove });
}

/** `status` of one of Istio's objects, or of ours. */
export function istioStatus(
  current: Status,
  wanted: readonly WantedCondition[],
  options: MergedConditions,
): Status | undefined {
  const conditions = mergedConditions(current['conditions'], wanted, options);
  if (conditions === undefined) return undefined;
  const observed = Math.max(0, ...wanted.map(({ observedGeneration = 0 }) => observedGeneration));
  // Protobuf's JSON has 64-bit numbers as text too.
  const before = Number(current['observedGeneration'] ?? 0);
  const isNewer = observed > 0 && !(before >= observed);
  return { ...current, conditions, ...(isNewer ? { observedGeneration: observed } : {}) };
}

function withGeneration(condition: Condition, latest: number | undefined): WantedCondition {
  const { observedGeneration, ...rest } = condition;
  const isOfLatest = observedGeneration === 0 || condition.reason === 'Invalid';
  const generation = isOfLatest ? (latest ?? observedGeneration) : observedGeneration;
  return generation > 0 ? { ...rest, observedGeneration: generation } : rest;
}
