/**
 * Enrolled namespaces and how many of their pods are captured; namespaces that are let out for a time; pods that another mesh has.
 *
 * Istio says itself which pods are its own: its node agent and its injector annotate them.
 */
import type { MeshObject, Namespace, Pod } from '@ambit/api';
import {
  type AdminObject,
  type AdminProxy,
  namespaceMode,
  podMode,
  REDIRECTION,
  SIDECAR_STATUS,
} from '@ambit/model';
import { conditionOf } from '../admin-answers.ts';

export interface EnrolledNamespace {
  readonly namespace: string;
  readonly mode: 'ambient' | 'none';
  /** Running pods that should be captured. */
  readonly pods: number;
  readonly captured: number;
  /** Names of those that are not. */
  readonly missing: readonly string[];
  /** Running pods that are not in the mesh while the namespace is, by why. Absent: none. */
  readonly leftOut?: Readonly<Record<string, readonly string[]>>;
  /** Who let it out of the mesh, why and until when. */
  readonly bypassed?: string;
  /** Running pods that Istio has: in its ambient mode, with a sidecar. Absent: none. */
  readonly istio?: { readonly ambient: number; readonly sidecars: number };
  /** Names of pods that this mesh has captured and Istio says it has too. */
  readonly contested?: readonly string[];
}

interface Counted {
  pods: number;
  ambient: number;
  sidecars: number;
  readonly missing: string[];
  readonly contested: string[];
  readonly leftOut: Record<string, string[]>;
}

/** Namespaces that are enrolled or bypassed, or have pods that are enrolled by themselves or Istio's. */
export function enrolledNamespaces(
  objects: readonly AdminObject[],
  proxies: readonly AdminProxy[],
  revision?: string,
): readonly EnrolledNamespace[] {
  const namespaces = new Map<string, { readonly object: Namespace; readonly bypassed?: string }>();
  const pods: Pod[] = [];
  for (const entry of objects) {
    const { object } = entry;
    if (object?.kind === 'Namespace') {
      const condition = conditionOf(entry, 'Bypassed');
      const bypassed = condition?.status === 'True' ? { bypassed: condition.message } : {};
      namespaces.set(object.metadata.name, { object, ...bypassed });
    }
    if (object?.kind === 'Pod' && isRunning(object)) pods.push(object);
  }
  const held = new Set(proxies.flatMap(({ captured }) => captured.map(podOfUid)));
  const found = new Map<string, Counted>();
  for (const pod of pods) {
    const { namespace, name } = pod.metadata;
    const known = namespaces.get(namespace);
    const counted = found.get(namespace) ?? nobody();
    found.set(namespace, counted);
    const isHeld = held.has(`${namespace}/${name}`);
    const theirs = istioHas(pod);
    if (theirs !== undefined) counted[theirs] += 1;
    if (theirs !== undefined && isHeld) counted.contested.push(name);
    const mode = podMode(pod, known?.object, {
      isBypassed: known?.bypassed !== undefined,
      revision,
    });
    if (mode.leftOut !== undefined) {
      counted.leftOut[mode.leftOut] = [...(counted.leftOut[mode.leftOut] ?? []), name];
    }
    if (!mode.isEnrolled) continue;
    counted.pods += 1;
    if (!isHeld) counted.missing.push(name);
  }
  const names = [...new Set([...namespaces.keys(), ...found.keys()])].sort();
  return names.flatMap((namespace): readonly EnrolledNamespace[] => {
    const known = namespaces.get(namespace);
    const counted = found.get(namespace) ?? nobody();
    const { pods: all, missing, ambient, sidecars, contested, leftOut } = counted;
    const mode = namespaceMode(known?.object, {
      isBypassed: known?.bypassed !== undefined,
      revision,
    });
    const isTheirs = ambient + sidecars > 0;
    if (mode === 'none' && all === 0 && known?.bypassed === undefined && !isTheirs) return [];
    return [
      {
        namespace,
        mode,
        pods: all,
        captured: all - missing.length,
        missing,
        ...(Object.keys(leftOut).length === 0 ? {} : { leftOut }),
        ...(known?.bypassed === undefined ? {} : { bypassed: known.bypassed }),
        ...(isTheirs ? { istio: { ambient, sidecars } } : {}),
        ...(contested.length === 0 ? {} : { contested }),
      },
    ];
  });
}

function nobody(): Counted {
  return { pods: 0, ambient: 0, sidecars: 0, missing: [], contested: [], leftOut: {} };
}

function istioHas({ metadata: { annotations, labels } }: Pod): 'ambient' | 'sidecars' | undefined {
  if (annotations[REDIRECTION] === 'enabled') return 'ambient';
  // Its gateways and waypoints have the same proxy, and nothing beside it.
  const isGateway = labels['gateway.networking.k8s.io/gateway-name'] !== undefined;
  return annotations[SIDECAR_STATUS] !== undefined && !isGateway ? 'sidecars' : undefined;
}

function isRunning({ status }: Extract<MeshObject, { kind: 'Pod' }>): boolean {
  return status.phase === 'Running' && !status.terminating;
}

/** `shop/reviews` of `Kubernetes//Pod/shop/reviews`. */
function podOfUid(uid: string): string {
  return uid.slice(uid.indexOf('//Pod/') + '//Pod/'.length);
}
