/** Pods that should be captured and are not, whatever the reason. */
import type { MeshObject, ObjectKey } from '@ambit/api';
import { podMode } from '@ambit/model';

export interface UncapturedPodsInput {
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  /** Whether the agent of a node has captured a uid. */
  readonly isCaptured: (node: string, uid: string) => boolean;
  /** Whether a namespace is let out of the mesh for a time. */
  readonly isBypassed: (namespace: string) => boolean;
  readonly clusterId: string;
  /** Of this mesh. */
  readonly revision?: string | undefined;
}

/** Keys of running pods that are enrolled and that no agent has captured. */
export function uncapturedPods(input: UncapturedPodsInput): readonly ObjectKey[] {
  const { objects, isCaptured, isBypassed, clusterId, revision } = input;
  const found: ObjectKey[] = [];
  for (const [key, object] of objects) {
    if (object.kind !== 'Pod' || object.status.phase !== 'Running') continue;
    if (object.status.terminating) continue;
    const { namespace: name } = object.metadata;
    const namespace = objects.get(`Namespace/${name}`);
    const mode = podMode(object, namespace?.kind === 'Namespace' ? namespace : undefined, {
      isBypassed: isBypassed(name),
      revision,
    });
    if (mode.isEnrolled && !isCaptured(object.spec.nodeName, `${clusterId}//${key}`)) {
      found.push(key);
    }
  }
  return found;
}
