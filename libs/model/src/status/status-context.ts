/** What the status functions share: their context, and the conditions that several kinds have. */
import type { Finding, LocalTargetRef, MeshObject, ObjectKey } from '@ambit/api';
import type { Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import { targetBucket } from '../objects/sources.ts';
import type { Condition, ObjectStatus } from '../types.ts';
import type { BindingReason } from '../waypoint/waypoints.ts';
import { BINDING_REASONS, bindingText, condition, openText } from './conditions.ts';
import type { Uncaptured } from './uncaptured.ts';
import type { BehindForeign, CapturedWaypoint } from './unjudged.ts';

/** What one kind's status function says. */
export interface StatusParts {
  readonly conditions: readonly Condition[];
  readonly findings: readonly Finding[];
  readonly gatewayApi?: ObjectStatus['gatewayApi'];
}

/** How a binding stands, for the objects that made it. */
export interface WaypointStanding {
  readonly waypoint: string;
  readonly reason: string;
  readonly subject: string;
  readonly isReady: boolean;
  /** The object is a policy that nobody judges by on this way, and no guard refuses callers for it: the proxy is behind its agent, or away. */
  readonly isOpen: boolean;
}

/** A workload that policies may concern. */
export interface Reached {
  readonly object: ObjectKey;
  readonly namespace: string;
  /** Somebody stands before it: an agent, and a waypoint where it is guarded. */
  readonly isInMesh: boolean;
  /** Another mesh beside this one says that it has it, and decides there. */
  readonly isElsewhere: boolean;
  readonly selectedBy: readonly ObjectKey[];
}

export const REACHED_BY_POLICY = 'policy';
export const REACHED_BY_NAMESPACE = 'namespace';

export interface StatusContext {
  readonly derived: Derived;
  /** Workloads by the policies that select them, and by namespace. */
  readonly reached: Collection<Reached>;
  /** Services and workloads that an object sends to a waypoint, distinct by waypoint and reason. */
  readonly standings: (key: ObjectKey) => readonly WaypointStanding[];
  /** Enrolled pods that no agent has captured, as far as anybody knows. */
  readonly uncaptured: Collection<Uncaptured>;
  readonly behindForeign: Collection<BehindForeign>;
  readonly capturedWaypoints: Collection<CapturedWaypoint>;
  /** Whether a waypoint has the DestinationRule. */
  readonly isRuleInScope: (rule: ObjectKey) => boolean;
}

export function acceptedCondition(object: MeshObject, text = 'valid'): Condition {
  return condition('Accepted', 'True', 'Accepted', text, object.metadata.generation);
}

export function targetExists(
  ref: LocalTargetRef,
  own: string,
  { sources, waypoints, options }: Derived,
): boolean {
  const key = targetBucket(ref, own);
  switch (ref.kind) {
    case 'Service':
      return sources.services.get(key) !== undefined;
    case 'ServiceEntry':
      return sources.serviceEntries.get(key) !== undefined;
    case 'Gateway':
      return waypoints.get(`${ref.namespace ?? own}/${ref.name}`) !== undefined;
    default:
      // Only the root namespace decides for all waypoints of a class.
      return ref.kind === 'GatewayClass' && own === options.rootNamespace;
  }
}

export function isOpenBehindAgent({ isOpen, reason }: WaypointStanding): boolean {
  return isOpen && reason === 'BehindAgent';
}

/** One condition for what an object needs of waypoints: the worst that is true. */
export function waypointConditions(
  key: ObjectKey,
  generation: number,
  { standings }: StatusContext,
): readonly Condition[] {
  const found = standings(key);
  if (found.length === 0) return [];
  // A workload whose services carry it to the waypoint may have no way by its own address.
  const bound = found.filter(({ reason }) => reason === 'Bound');
  const broken =
    found.find(isOpenBehindAgent) ??
    found.find(({ reason }) => reason !== 'Bound' && reason !== 'UnsupportedTrafficType');
  const worst = broken ?? bound.find(({ isReady }) => !isReady) ?? bound[0] ?? found[0];
  if (worst === undefined) return [];
  const { reason, waypoint, subject, isReady } = worst;
  if (reason === 'Bound') {
    return [
      isReady
        ? condition(
            'WaypointReady',
            'True',
            'WaypointReady',
            `waypoint ${waypoint} is ready`,
            generation,
          )
        : condition(
            'WaypointReady',
            'False',
            'WaypointNotReady',
            `waypoint ${waypoint} has no ready instance; policy refuses until it has`,
            generation,
          ),
    ];
  }
  const code = BINDING_REASONS[reason as keyof typeof BINDING_REASONS];
  const text = isOpenBehindAgent(worst)
    ? openText(waypoint, subject)
    : bindingText(reason as BindingReason, waypoint, subject);
  return [condition('WaypointReady', 'False', code, text, generation)];
}
