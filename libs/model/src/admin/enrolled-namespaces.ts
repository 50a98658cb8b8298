/**
 * Enrolled namespaces and how many of their pods are captured; namespaces that are let out for a time; pods that another mesh has.
 *
 * Who is enrolled is decided where the mesh itself decides it. Istio says itself which pods are its own: its node agent and its
 * injector annotate them.
 */
import type { Namespace, Pod } from '@ambit/api';

import { REDIRECTION, SIDECAR_STATUS } from '../objects/labels.ts';
import { namespaceMode, podMode } from '../workload/enrolment.ts';
import { conditionOf } from './admin-object.ts';
import type { AdminObject, AdminProxy } from './admin-types.ts';

/** Names in one list; more are counted. */
export const POD_NAMES_MAX = 20;

/** Lists of pods are of names, the first ones; `more` counts the others. */
export interface EnrolledNamespace {
  readonly namespace: string;
  readonly mode: 'ambient' | 'none';
  /** Running pods that should be captured. */
  readonly pods: number;
  readonly captured: number;
  /** Those that are not. */
  readonly missing: readonly string[];
  /** Running pods that are not in the mesh while the namespace is, by why. Absent: none. */
  readonly leftOut?: Readonly<Record<string, readonly string[]>>;
  /** Who let it out of the mesh, why and until when. */
  readonly bypassed?: string;
  /** Running pods that Istio has: in its ambient mode, with a sidecar. Absent: none. */
  readonly istio?: { readonly ambient: number; readonly sidecars: number };
  /** Pods that this mesh has captured and Istio says it has too. */
  readonly contested?: readonly string[];
  /** How many pods the lists above do not name. Absent: none. */
  readonly more?: {
    readonly missing?: number;
    readonly contested?: number;
    readonly leftOut?: Readonly<Record<string, number>>;
  };
}

/** The first names, and how many there are. */
class Names {
  count = 0;
  readonly first: string[] = [];

  add(name: string): void {
    this.count += 1;
    if (this.first.length < POD_NAMES_MAX) this.first.push(name);
  }

  get more(): number {
    return this.count - this.first.length;
  }
}

interface Counted {
  pods: number;
  ambient: number;
  sidecars: number;
  readonly missing: Names;
  readonly contested: Names;
  readonly leftOut: Map<string, Names>;
}

interface Known {
  readonly object: Namespace;
  readonly bypassed?: string;
}

/** Namespaces that are enrolled or bypassed, or have pods that are enrolled by themselves or Istio's; by name. */
export function enrolledNamespaces(
  entries: readonly AdminObject[],
  proxies: readonly AdminProxy[],
  revision?: string,
): readonly EnrolledNamespace[] {
  const namespaces = namespacesOf(entries);
  const held = new Set(proxies.flatMap(({ captured }) => captured.map(podOfUid)));
  const found = new Map<string, Counted>();
  for (const { object } of entries) {
    if (object?.kind !== 'Pod' || !isRunning(object)) continue;
    const { namespace, name } = object.metadata;
    const counted = found.get(namespace) ?? nobody();
    found.set(namespace, counted);
    const isHeld = held.has(`${namespace}/${name}`);
    count(object, { counted, known: namespaces.get(namespace), isHeld, revision });
  }
  const names = [...new Set([...namespaces.keys(), ...found.keys()])].sort();
  return names.flatMap((namespace) => {
    const known = namespaces.get(namespace);
    return describe(namespace, { counted: found.get(namespace) ?? nobody(), known, revision });
  });
}

function namespacesOf(entries: readonly AdminObject[]): ReadonlyMap<string, Known> {
  const namespaces = new Map<string, Known>();
  for (const entry of entries) {
    const { object } = entry;
    if (object?.kind !== 'Namespace') continue;
    const condition = conditionOf(entry, 'Bypassed');
    const bypassed = condition?.status === 'True' ? { bypassed: condition.message } : {};
    namespaces.set(object.metadata.name, { object, ...bypassed });
  }
  return namespaces;
}

interface Place {
  readonly counted: Counted;
  readonly known: Known | undefined;
  readonly revision: string | undefined;
}

function count(
  pod: Pod,
  { counted, known, isHeld, revision }: Place & { readonly isHeld: boolean },
): void {
  const { name } = pod.metadata;
  const theirs = istioHas(pod);
  if (theirs !== undefined) counted[theirs] += 1;
  if (theirs !== undefined && isHeld) counted.contested.add(name);
  const isBypassed = known?.bypassed !== undefined;
  const { leftOut, isEnrolled } = podMode(pod, known?.object, { isBypassed, revision });
  if (leftOut !== undefined) {
    const names = counted.leftOut.get(leftOut) ?? new Names();
    counted.leftOut.set(leftOut, names);
    names.add(name);
  }
  if (!isEnrolled) return;
  counted.pods += 1;
  if (!isHeld) counted.missing.add(name);
}

function describe(
  namespace: string,
  { counted, known, revision }: Place,
): readonly EnrolledNamespace[] {
  const { pods, missing, ambient, sidecars, contested, leftOut } = counted;
  const bypassed = known?.bypassed;
  const mode = namespaceMode(known?.object, { isBypassed: bypassed !== undefined, revision });
  const isTheirs = ambient + sidecars > 0;
  if (mode === 'none' && pods === 0 && bypassed === undefined && !isTheirs) return [];
  const whys = [...leftOut];
  return [
    {
      namespace,
      mode,
      pods,
      captured: pods - missing.count,
      missing: missing.first,
      ...(whys.length === 0
        ? {}
        : { leftOut: Object.fromEntries(whys.map(([why, { first }]) => [why, first])) }),
      ...(bypassed === undefined ? {} : { bypassed }),
      ...(isTheirs ? { istio: { ambient, sidecars } } : {}),
      ...(contested.count === 0 ? {} : { contested: contested.first }),
      ...moreOf(counted),
    },
  ];
}

function moreOf({ missing, contested, leftOut }: Counted): Pick<EnrolledNamespace, 'more'> {
  const whys = [...leftOut].filter(([, names]) => names.more > 0);
  if (missing.more + contested.more + whys.length === 0) return {};
  return {
    more: {
      ...(missing.more === 0 ? {} : { missing: missing.more }),
      ...(contested.more === 0 ? {} : { contested: contested.more }),
      ...(whys.length === 0
        ? {}
        : { leftOut: Object.fromEntries(whys.map(([why, { more }]) => [why, more])) }),
    },
  };
}

function nobody(): Counted {
  return {
    ...{ pods: 0, ambient: 0, sidecars: 0 },
    ...{ missing: new Names(), contested: new Names(), leftOut: new Map() },
  };
}

function istioHas({ metadata: { annotations, labels } }: Pod): 'ambient' | 'sidecars' | undefined {
  if (annotations[REDIRECTION] === 'enabled') return 'ambient';
  // Its gateways and waypoints have the same proxy, and nothing beside it.
  const isGateway = labels['gateway.networking.k8s.io/gateway-name'] !== undefined;
  return annotations[SIDECAR_STATUS] !== undefined && !isGateway ? 'sidecars' : undefined;
}

function isRunning({ status }: Pod): boolean {
  return status.phase === 'Running' && !status.terminating;
}

/** `shop/reviews` of `Kubernetes//Pod/shop/reviews`. */
function podOfUid(uid: string): string {
  return uid.slice(uid.indexOf('//Pod/') + '//Pod/'.length);
}
