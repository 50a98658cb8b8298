/**
 * What needs HTTP, and therefore which services and workloads stand behind a waypoint.
 *
 * Policy that refuses ("hard") sends callers there at once: until the waypoint is ready they are refused.
 * What only routes or takes notes ("soft") follows the fallback until the waypoint is ready.
 */
import type { ObjectKey } from '@ambit/api';

import type { Collection } from '../graph/collection.ts';
import { objectKey } from '../objects/keys.ts';
import { anyTarget, BY_TARGET, type Sources } from '../objects/sources.ts';
import type { Attachment, PolicyInfo } from '../policy/policies.ts';
import type { ServiceSpec } from '../service/services.ts';
import type { FallbackChoice } from './fallback.ts';
import type { ServiceRouting } from './routes.ts';
import type { Binding } from './waypoints.ts';

/** A workload of the mesh that policies with HTTP fields concern, as its services see it. */
export interface GuardedMember {
  readonly services: readonly string[];
  readonly hard: readonly ObjectKey[];
  readonly soft: readonly ObjectKey[];
}

export const MEMBERS_BY_SERVICE = 'service';

export interface ServiceNeeds {
  readonly hard: readonly ObjectKey[];
  readonly soft: readonly ObjectKey[];
}

/** A service's binding, with what made it and whether clients are sent there now. */
export interface ServiceBinding extends Binding {
  readonly key: string;
  readonly isHard: boolean;
  /** The waypoint has a ready instance. */
  readonly isReady: boolean;
  /** What callers do while it has none and no policy is its business. */
  readonly fallback: FallbackChoice;
  /** Clients are sent to it. */
  readonly isActive: boolean;
  /** Policies because of which callers are refused without it. */
  readonly hard: readonly ObjectKey[];
  /** Refusing policies on the service itself; its own ports are guarded for them. */
  readonly targeted: readonly ObjectKey[];
  readonly because: readonly ObjectKey[];
  /** Routes and rules that it serves and was not made for. */
  readonly following: readonly ObjectKey[];
}

export function guardedMember(
  attachment: Attachment,
  services: readonly string[],
): GuardedMember | undefined {
  const { hard, soft } = attachment;
  return hard.length + soft.length === 0 ? undefined : { services, hard, soft };
}

/** Policies on the service itself: enforcing ones, and those that only take notes. */
export function targetingPolicies(
  target: ObjectKey,
  sources: Sources,
  policies: Collection<PolicyInfo>,
): ServiceNeeds {
  const hard: ObjectKey[] = [];
  const soft: ObjectKey[] = [];
  for (const key of sources.policies.keysOf(BY_TARGET, target)) {
    const info = policies.get(key);
    if (info !== undefined) (info.isEnforcing ? hard : soft).push(key);
  }
  return { hard, soft };
}

export function serviceNeeds(
  service: ServiceSpec,
  routing: ServiceRouting | undefined,
  targeting: ServiceNeeds,
  members: Collection<GuardedMember>,
): ServiceNeeds {
  const hard = new Set(targeting.hard);
  const soft = new Set([...targeting.soft, ...(routing?.needing ?? [])]);
  for (const member of members.lookup(MEMBERS_BY_SERVICE, service.key)) {
    for (const key of member.hard) hard.add(key);
    for (const key of member.soft) soft.add(key);
  }
  return { hard: [...hard].sort(), soft: [...soft].sort() };
}

/** Policies on the waypoint: they concern everything that goes through it. One that is not there has a name, and no class. */
export function gatewayPolicies(
  {
    namespace,
    name,
    className,
  }: { readonly namespace: string; readonly name: string; readonly className?: string },
  sources: Sources,
  policies: Collection<PolicyInfo>,
): ServiceNeeds {
  const own = targetingPolicies(objectKey('Gateway', namespace, name), sources, policies);
  const ofClass =
    className === undefined
      ? { hard: [], soft: [] }
      : targetingPolicies(`GatewayClass/${className}`, sources, policies);
  const ofAny = targetingPolicies(anyTarget('Gateway', namespace), sources, policies);
  const all = [own, ofClass, ofAny];
  return { hard: all.flatMap(({ hard }) => hard), soft: all.flatMap(({ soft }) => soft) };
}

export function combineBinding(input: {
  readonly key: string;
  readonly binding: Binding;
  readonly needs: ServiceNeeds;
  readonly targeted: readonly ObjectKey[];
  readonly isReady: boolean;
  readonly fallback: FallbackChoice;
  readonly following: readonly ObjectKey[];
}): ServiceBinding {
  const { key, binding, needs, targeted, isReady, fallback, following } = input;
  const isHard = needs.hard.length > 0;
  const isBound = binding.reason === 'Bound';
  return {
    ...binding,
    key,
    isHard,
    hard: needs.hard,
    isReady,
    fallback,
    isActive: isBound && (isHard || isReady || fallback.mode === 'refuse'),
    targeted,
    because: [...needs.hard, ...needs.soft],
    following: binding.reason === 'NotNeeded' ? [] : following,
  };
}
