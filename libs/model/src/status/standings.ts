/**
 * How the bindings stand that objects asked for: which waypoint, whether it is there, and whether a policy is kept where the waypoint
 * gets none.
 *
 * Rule: what should be judged by a waypoint that is not had, or by a proxy behind its agent, is closed by a guard on every endpoint, or
 * said to be open. What only takes notes closes nothing.
 */
import type { ObjectKey } from '@ambit/api';
import { BY_KEY, type Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { objectKey } from '../objects/keys.ts';
import { ownMemberships } from '../service/memberships.ts';
import type { Guard } from '../types.ts';
import type { Binding } from '../waypoint/waypoints.ts';
import type { WaypointStanding } from './status-context.ts';

interface Cause extends Omit<WaypointStanding, 'isOpen' | 'subjects'> {
  /** A Service's key, or who keeps a workload. */
  readonly subject: string;
  readonly because: readonly ObjectKey[];
  /** Policies among them that are open on this way. */
  readonly open: readonly ObjectKey[];
}

/** Of what keeps pods: there as long as somebody wants it. A Job goes with its pods. */
const LASTING: ReadonlySet<string> = new Set(['ReplicaSet', 'StatefulSet', 'DaemonSet']);

type Caused = Binding & { readonly because: readonly ObjectKey[] };

/** By the object that made them. */
export function deriveStandings(
  graph: Graph,
  derived: Derived,
): Collection<readonly WaypointStanding[]> {
  const ofServices = graph.flatMap('service-causes', derived.serviceBindings, (binding, key) => {
    // Callers in the mesh refuse by themselves what an entry names and no waypoint serves; another mesh's waypoint says what it does.
    const isRefused = binding.reason !== 'WaypointForeign' && binding.foreign !== undefined;
    const unguarded = (policy: ObjectKey): boolean =>
      binding.targeted.includes(policy) && !isRefused && !isClosed(key, policy, derived);
    const because = [...binding.because, ...binding.following];
    const way = { binding: { ...binding, because }, subject: key, isByAddress: false, unguarded };
    return causeOf(`service:${key}`, way, derived);
  });
  const ofWorkloads = graph.flatMap('workload-causes', derived.workloadBindings, (binding, uid) => {
    // A selector policy that services carry to a waypoint need not also be carried by pod address.
    if (binding.reason === 'UnsupportedTrafficType' && isCarried(uid, derived)) return [];
    const subject = keeperOf(uid, derived);
    const way = { binding, subject, isByAddress: true, unguarded: () => false };
    return causeOf(`workload:${uid}`, way, derived);
  });
  const causes = graph
    .merge<Cause>('waypoint-causes', [ofServices, ofWorkloads])
    .addIndex('because', (cause) => cause.because);
  return graph.group('standings', causes, 'because', (members, object) => {
    const distinct = new Map<string, Omit<WaypointStanding, 'subjects'> & { subjects: string[] }>();
    for (const { subject, because: _, open, ...standing } of members) {
      const isOpen = open.some((key) => key === object);
      const { waypoint, reason, isReady, isByAddress } = standing;
      const id = `${waypoint} ${reason} ${isReady} ${isByAddress} ${isOpen}`;
      const found = distinct.get(id);
      // Names are for people who have to do something: of what is had there may be very many, and nobody reads them.
      const named = reason === 'Bound' ? [] : [subject];
      if (found === undefined) distinct.set(id, { ...standing, isOpen, subjects: named });
      else found.subjects.push(...named);
    }
    return [...distinct.values()].map((found) => ({
      ...found,
      subjects: [...new Set(found.subjects)].sort(),
    }));
  });
}

function causeOf(
  id: string,
  {
    binding,
    subject,
    isByAddress,
    unguarded,
  }: {
    readonly binding: Caused;
    readonly subject: string;
    readonly isByAddress: boolean;
    readonly unguarded: (policy: ObjectKey) => boolean;
  },
  { readyGateways, waypoints, policies }: Derived,
): readonly (readonly [string, Cause])[] {
  const { waypoint = '', because } = binding;
  if (because.length === 0 || binding.reason === 'NotNeeded') return [];
  const definition = waypoints.get(waypoint);
  const isBound = binding.reason === 'Bound';
  const isBehindAgent = isBound && definition?.behindAgent !== undefined;
  const reason = isBehindAgent ? 'BehindAgent' : binding.reason;
  const isReady =
    isBound && (readyGateways.get(waypoint) === true || definition?.isUnmanaged === true);
  const isOpen = (key: ObjectKey): boolean =>
    policies.get(key)?.isEnforcing === false || unguarded(key);
  const open = isBehindAgent || !isBound ? because.filter(isOpen) : [];
  return [[id, { waypoint, reason, subject, isReady, isByAddress, because, open }]];
}

/** Pods come and go, and what is said of them holds still: it names what keeps them, or where they are. */
function keeperOf(uid: string, { workloadSpecs, sources }: Derived): string {
  const workload = workloadSpecs.get(uid);
  if (workload === undefined) return uid;
  const { object, namespace, workloadName } = workload;
  const pod = sources.pods.get(object);
  if (pod === undefined) return object;
  const { ownerReferences = [] } = pod.metadata;
  const owner = ownerReferences.find(({ controller }) => controller === true) ?? ownerReferences[0];
  if (owner === undefined || !LASTING.has(owner.kind)) return `pods of namespace ${namespace}`;
  const kind = owner.name === workloadName ? owner.kind : 'Deployment';
  return objectKey(kind, namespace, workloadName);
}

/** Whether a Service of its own leads to it by a waypoint. */
function isCarried(uid: string, { workloadSpecs, memberships, serviceBindings }: Derived): boolean {
  const workload = workloadSpecs.get(uid);
  return (
    workload !== undefined &&
    ownMemberships(workload, memberships.get(uid)).some(
      (key) => serviceBindings.get(key)?.reason === 'Bound',
    )
  );
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
