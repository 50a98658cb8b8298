/** Enrolled namespaces and how many of their pods are captured; namespaces that are let out for a time. */
import type { MeshObject, Namespace, Pod } from '@ambit/api';
import { type AdminObject, type AdminProxy, namespaceMode, podMode } from '@ambit/model';
import { conditionOf } from '../admin-answers.ts';

export interface EnrolledNamespace {
  readonly namespace: string;
  readonly mode: 'ambient' | 'none';
  /** Running pods that should be captured. */
  readonly pods: number;
  readonly captured: number;
  /** Names of those that are not. */
  readonly missing: readonly string[];
  /** Who let it out of the mesh, why and until when. */
  readonly bypassed?: string;
}

/** Namespaces that are enrolled, bypassed, or have pods that are enrolled by themselves. */
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
  const found = new Map<string, { pods: number; missing: string[] }>();
  for (const pod of pods) {
    const { namespace, name } = pod.metadata;
    const known = namespaces.get(namespace);
    if (
      !podMode(pod, known?.object, { isBypassed: known?.bypassed !== undefined, revision })
        .isEnrolled
    )
      continue;
    const counted = found.get(namespace) ?? { pods: 0, missing: [] };
    found.set(namespace, counted);
    counted.pods += 1;
    if (!held.has(`${namespace}/${name}`)) counted.missing.push(name);
  }
  const names = [...new Set([...namespaces.keys(), ...found.keys()])].sort();
  return names.flatMap((namespace): readonly EnrolledNamespace[] => {
    const known = namespaces.get(namespace);
    const { pods: all, missing } = found.get(namespace) ?? { pods: 0, missing: [] };
    const mode = namespaceMode(known?.object, {
      isBypassed: known?.bypassed !== undefined,
      revision,
    });
    if (mode === 'none' && all === 0 && known?.bypassed === undefined) return [];
    const bypassed = known?.bypassed === undefined ? {} : { bypassed: known.bypassed };
    return [{ namespace, mode, pods: all, captured: all - missing.length, missing, ...bypassed }];
  });
}

function isRunning({ status }: Extract<MeshObject, { kind: 'Pod' }>): boolean {
  return status.phase === 'Running' && !status.terminating;
}

/** `shop/reviews` of `Kubernetes//Pod/shop/reviews`. */
function podOfUid(uid: string): string {
  return uid.slice(uid.indexOf('//Pod/') + '//Pod/'.length);
}
