/** What the status functions share: their context, and the conditions that several kinds have. */
import type { Finding, LocalTargetRef, MeshObject, ObjectKey } from '@ambit/api';
import type { Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import { targetBucket } from '../objects/sources.ts';
import type { Condition, ObjectStatus } from '../types.ts';
import type { BindingReason } from '../waypoint/waypoints.ts';
import { BINDING_REASONS, bindingText, condition, listKeys, openText } from './conditions.ts';
import type { HostUse } from './host-uses.ts';
import type { Uncaptured } from './uncaptured.ts';
import type { BehindForeign, CapturedWaypoint } from './unjudged.ts';

/** What one kind's status function says. */
export interface StatusParts {
  readonly conditions: readonly Condition[];
  readonly findings: readonly Finding[];
  readonly gatewayApi?: ObjectStatus['gatewayApi'];
}

export type StandingReason = Exclude<BindingReason, 'NotNeeded'>;

/** How a binding stands, for the objects that made it. */
export interface WaypointStanding {
  readonly waypoint: string;
  readonly reason: StandingReason;
  /** Services and workloads of which it is true; none where it is `Bound`. */
  readonly subjects: readonly string[];
  /** Of workloads that are called by their own address. */
  readonly isByAddress: boolean;
  readonly isReady: boolean;
  /** The object is a policy that nobody judges by on this way, and no guard refuses callers for it: the proxy is behind its agent, or none is had. */
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
  readonly hostUses: Collection<HostUse>;
  /** Whether a waypoint applies the DestinationRule. */
  readonly isRuleApplied: (rule: ObjectKey) => boolean;
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

/** One condition for what an object needs of waypoints: all that it does not have, or the worst of what it has. */
export function waypointConditions(
  key: ObjectKey,
  generation: number,
  { standings }: StatusContext,
): readonly Condition[] {
  const found = standings(key);
  if (found.length === 0) return [];
  const bound = found.filter(({ reason }) => reason === 'Bound');
  // By its own address a workload may have no way while others have one: what refuses is kept by its guard.
  const isSpared = ({ isByAddress, isOpen, reason }: WaypointStanding): boolean =>
    isByAddress && !isOpen && reason === 'UnsupportedTrafficType' && bound.length > 0;
  const broken = found.filter((one) => one.reason !== 'Bound' && !isSpared(one));
  const worst = broken.length > 0 ? undefined : (bound.find(({ isReady }) => !isReady) ?? bound[0]);
  if (worst !== undefined) {
    const { waypoint, isReady } = worst;
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
  // What is open weighs more than what is closed.
  const all = [...broken.filter(({ isOpen }) => isOpen), ...broken.filter(({ isOpen }) => !isOpen)];
  const [code] = all.flatMap(({ reason }) => (reason === 'Bound' ? [] : [BINDING_REASONS[reason]]));
  if (code === undefined) return [];
  const text = all.map(standingText).join('; ');
  return [condition('WaypointReady', 'False', code, text, generation)];
}

export function standingText({ waypoint, reason, subjects, isOpen }: WaypointStanding): string {
  const text = isOpen ? openText : bindingText;
  return text(reason, waypoint, listKeys(subjects));
}
