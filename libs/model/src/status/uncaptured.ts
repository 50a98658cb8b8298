/**
 * Pods that should be captured and are not: policy about them is in force for callers in the mesh at most,
 * and plaintext to them is refused by nobody. Whatever concerns one of them says so.
 */
import type { AuthorizationPolicy, Finding, ObjectKey, PeerAuthentication } from '@ambit/api';
import type { Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { keyOf, type Labels, selects } from '../objects/keys.ts';
import { ANY, BY_ANY, BY_NAMESPACE } from '../objects/sources.ts';
import { isInMesh } from '../workload/enrolment.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import { listKeys, warning } from './conditions.ts';

export interface Uncaptured {
  readonly object: ObjectKey;
  readonly namespace: string;
  readonly labels: Labels;
  /** Objects that guard it. */
  readonly guardedBy: readonly ObjectKey[];
}

/** Code of the finding; `Enforced` is not True while an object has one. */
export const NOT_CAPTURED = 'NOT_CAPTURED';

const BY_GUARD = 'guard';

export function deriveUncaptured(graph: Graph, derived: Derived): Collection<Uncaptured> {
  const { workloadSpecs, sources, guarded, options } = derived;
  // One that goes is let go of by its agent before its object is gone.
  const isUnreported = ({ uid, object, kind }: WorkloadSpec): boolean =>
    options.hearsAgents === true &&
    kind === 'Pod' &&
    sources.reported.get(uid) !== true &&
    sources.pods.get(object)?.status.terminating === false;
  return graph
    .map('uncaptured', workloadSpecs, (workload, uid): Uncaptured | undefined => {
      const isUncaptured = sources.pending.get(uid) === true || isUnreported(workload);
      if (!isUncaptured || !isInMesh(workload, derived)) return undefined;
      const { object, namespace, labels } = workload;
      return { object, namespace, labels, guardedBy: guarded.get(uid)?.guard.because ?? [] };
    })
    .addIndex(BY_ANY, () => [ANY])
    .addIndex(BY_NAMESPACE, ({ namespace }) => [namespace])
    .addIndex(BY_GUARD, ({ guardedBy }) => guardedBy);
}

/** Of a policy: the pods in its scope that are not captured, in one finding. */
export function uncapturedFindings(
  object: AuthorizationPolicy | PeerAuthentication,
  uncaptured: Collection<Uncaptured>,
  rootNamespace: string,
): readonly Finding[] {
  const found = concerned(object, uncaptured, rootNamespace);
  if (found.length === 0) return [];
  const names = listKeys(found.map((one) => one.object).sort());
  const count = found.length === 1 ? '' : ` (${found.length} pods)`;
  const message = `is not in force at ${names}${count}: no agent has captured it, so plaintext to it is not refused`;
  const fix = 'have the agent of its node capture it (POST /v1/pods there, or restart the pod)';
  return [warning(NOT_CAPTURED, 'spec', message, fix)];
}

function concerned(
  object: AuthorizationPolicy | PeerAuthentication,
  uncaptured: Collection<Uncaptured>,
  rootNamespace: string,
): readonly Uncaptured[] {
  const { metadata, spec } = object;
  if ('targetRefs' in spec && spec.targetRefs.length > 0) {
    return uncaptured.lookup(BY_GUARD, keyOf(object));
  }
  const near =
    metadata.namespace === rootNamespace
      ? uncaptured.lookup(BY_ANY, ANY)
      : uncaptured.lookup(BY_NAMESPACE, metadata.namespace);
  return near.filter(({ labels }) => selects(spec.selector?.matchLabels ?? {}, labels));
}
