/** Pods that should be captured and are not, whatever the reason. */
import type { MeshObject, ObjectKey } from '@ambit/api';
import { podMode } from '@ambit/model';

export interface UncapturedPodsInput {
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  /** Uids that the agent of a node has captured. */
  readonly capturedOn: (node: string) => readonly string[];
  readonly clusterId: string;
  /** Of this mesh. */
  readonly revision?: string | undefined;
}

/** Keys of running pods that are enrolled and that no agent has captured. */
export function uncapturedPods(input: UncapturedPodsInput): readonly ObjectKey[] {
  const { objects, capturedOn, clusterId, revision } = input;
  const byNode = new Map<string, ReadonlySet<string>>();
  const isCaptured = (node: string, key: ObjectKey): boolean => {
    const captured = byNode.get(node) ?? new Set(capturedOn(node));
    byNode.set(node, captured);
    return captured.has(`${clusterId}//${key}`);
  };
  const found: ObjectKey[] = [];
  for (const [key, object] of objects) {
    if (object.kind !== 'Pod' || object.status.phase !== 'Running') continue;
    if (object.status.terminating) continue;
    const namespace = objects.get(`Namespace/${object.metadata.namespace}`);
    const mode = podMode(object, namespace?.kind === 'Namespace' ? namespace : undefined, {
      revision,
    });
    if (mode.isEnrolled && !isCaptured(object.spec.nodeName, key)) found.push(key);
  }
  return found;
}
