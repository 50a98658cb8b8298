/**
 * How the bindings stand that objects asked for: which waypoint, whether it is there, and whether a policy is kept where the waypoint
 * gets none.
 *
 * Rule: what a proxy behind its agent should have judged is closed by a guard on every endpoint, or said to be open.
 */
import type { ObjectKey } from '@ambit/api';
import { BY_KEY, type Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import type { Guard } from '../types.ts';
import type { Binding } from '../waypoint/waypoints.ts';
import type { WaypointStanding } from './status-context.ts';

interface Cause extends Omit<WaypointStanding, 'isOpen'> {
  readonly because: readonly ObjectKey[];
  /** Policies among them that are open on this way. */
  readonly open: readonly ObjectKey[];
}

type Caused = Binding & { readonly because: readonly ObjectKey[] };

/** By the object that made them. */
export function deriveStandings(
  graph: Graph,
  derived: Derived,
): Collection<readonly WaypointStanding[]> {
  const ofServices = graph.flatMap('service-causes', derived.serviceBindings, (binding, key) => {
    // Callers in the mesh refuse by themselves what an entry names and no waypoint serves.
    const isRefused = binding.reason === 'WaypointNotFound' && binding.foreign !== undefined;
    const unguarded = (policy: ObjectKey): boolean =>
      binding.targeted.includes(policy) && !isRefused && !isClosed(key, policy, derived);
    const because = [...binding.because, ...binding.following];
    return causeOf(
      `service:${key}`,
      { binding: { ...binding, because }, subject: key, unguarded },
      derived,
    );
  });
  const ofWorkloads = graph.flatMap('workload-causes', derived.workloadBindings, (binding, uid) => {
    // A selector policy that services carry to a waypoint need not also be carried by pod address.
    const subject = derived.workloadSpecs.get(uid)?.object ?? uid;
    return causeOf(`workload:${uid}`, { binding, subject, unguarded: () => false }, derived);
  });
  const causes = graph
    .merge<Cause>('waypoint-causes', [ofServices, ofWorkloads])
    .addIndex('because', (cause) => cause.because);
  return graph.group('standings', causes, 'because', (members, object) => {
    const distinct = new Map<string, WaypointStanding>();
    for (const { waypoint, reason, subject, isReady, open } of members) {
      const isOpen = open.some((key) => key === object);
      const id = `${waypoint} ${reason} ${isReady} ${isOpen}`;
      if (!distinct.has(id)) distinct.set(id, { waypoint, reason, subject, isReady, isOpen });
    }
    return [...distinct.values()];
  });
}

function causeOf(
  id: string,
  {
    binding,
    subject,
    unguarded,
  }: {
    readonly binding: Caused;
    readonly subject: string;
    readonly unguarded: (policy: ObjectKey) => boolean;
  },
  { readyGateways, waypoints, policies }: Derived,
): readonly (readonly [string, Cause])[] {
  const { waypoint = '', because } = binding;
  if (because.length === 0) return [];
  const definition = waypoints.get(waypoint);
  const isBound = binding.reason === 'Bound';
  const isBehindAgent = isBound && definition?.behindAgent !== undefined;
  const isAway = binding.reason === 'WaypointNotFound';
  const reason = isBehindAgent ? 'BehindAgent' : binding.reason;
  const isReady =
    isBound && (readyGateways.get(waypoint) === true || definition?.isUnmanaged === true);
  // What only takes notes closes nothing, so that nobody takes them.
  const isOpen = (key: ObjectKey): boolean =>
    policies.get(key)?.isEnforcing === false || unguarded(key);
  const open = isBehindAgent || isAway ? because.filter(isOpen) : [];
  return [[id, { waypoint, reason, subject, isReady, because, open }]];
}

/** Whether every endpoint of the service refuses callers because of the policy. */
function isClosed(service: string, policy: ObjectKey, derived: Derived): boolean {
  const { services, memberships, guarded } = derived;
  const endpoints = memberships.keysOf(BY_KEY, service);
  // What an entry names is reached at addresses before which nobody stands.
  if (endpoints.length === 0) return services.get(service)?.kind !== 'ServiceEntry';
  return endpoints.every((uid) => isClosedBy(guarded.get(uid)?.guard, policy));
}

function isClosedBy(guard: Guard | undefined, policy: ObjectKey): boolean {
  if (guard?.exclusive !== true) return false;
  const isForNobody = guard.waypointIdentities.length === 0 && guard.ports.length === 0;
  return isForNobody || guard.because.includes(policy);
}
