/**
 * Who is in the mesh: the mode of a namespace, what a pod says for itself, and the few that never are.
 *
 * Rule: what leaves a pod out is said aloud, and is never that it looks like a proxy. The mesh's own agents and waypoints, and those of
 * Istio, have the label that anybody may use (`istio.io/dataplane-mode: none`); which other labels a pod has is its owner's to choose.
 *
 * Beside another mesh `istio.io/rev` says whose a pod is; what is another's is never in this one.
 *
 * A pod that was published outside of the mesh stays `NONE` until its agent has captured it: before that
 * nothing listens on its tunnel port. A pod that appears enrolled is captured before it starts.
 */
import type { Namespace, Pod } from '@ambit/api';

import type { Collection } from '../graph/collection.ts';
import { DATAPLANE_MODE, DNS_CAPTURE, INJECTION, SIDECAR_STATUS } from '../objects/labels.ts';
import { isOwnedBy } from '../objects/revision.ts';
import type { Enrolment } from '../types.ts';
import type { WorkloadSpec } from './workloads.ts';

/** On a pod, of the sidecar age. */
const INJECT = 'sidecar.istio.io/inject';

export type DataplaneMode = Enrolment['mode'];

/** How one pod stands to its namespace. */
export interface PodMode {
  readonly pod: string;
  readonly namespace: string;
  readonly mode: DataplaneMode;
  readonly differs: boolean;
  /** Why it is not in the mesh while its namespace is, as the end of a sentence. */
  readonly leftOut?: string;
  /** Enrolled, and the host's network aside, something that an agent can capture. */
  readonly isEnrolled: boolean;
}

/** What stands beside the labels of a pod and its namespace. */
export interface EnrolmentContext {
  /** The namespace is let out of the mesh for a time. */
  readonly isBypassed?: boolean;
  /** Of this mesh. */
  readonly revision?: string | undefined;
}

/**
 * The mode of pods that say nothing. The mesh's own label beats the one of the sidecar age; a bypass beats both for
 * as long as it lasts, and a revision that is not this mesh's beats everything.
 */
export function namespaceMode(
  namespace: Namespace | undefined,
  { isBypassed = false, revision }: EnrolmentContext = {},
): DataplaneMode {
  const labels = namespace?.metadata.labels ?? {};
  if (isBypassed || !isOwnedBy(revision, labels)) return 'none';
  return modeOf(labels[DATAPLANE_MODE]) ?? sidecarAgeMode(labels[INJECTION]) ?? 'none';
}

export function podMode(
  pod: Pod,
  namespace: Namespace | undefined,
  context: EnrolmentContext = {},
): PodMode {
  const { metadata, spec } = pod;
  const base = namespaceMode(namespace, context);
  const own = ownWord(pod, namespace, context);
  const mode = own?.mode ?? base;
  return {
    pod: metadata.name,
    namespace: metadata.namespace,
    mode,
    differs: mode !== base,
    isEnrolled: mode === 'ambient' && !spec.hostNetwork,
    ...(base === 'ambient' && own?.mode === 'none' ? { leftOut: own.because } : {}),
  };
}

/** What is decided for a pod whatever the mode of its namespace; undefined if that decides. */
export function ownMode(
  pod: Pod,
  namespace: Namespace | undefined,
  context: EnrolmentContext = {},
): DataplaneMode | undefined {
  return ownWord(pod, namespace, context)?.mode;
}

interface OwnWord {
  readonly mode: DataplaneMode;
  readonly because: string;
}

function ownWord(
  pod: Pod,
  namespace: Namespace | undefined,
  { isBypassed = false, revision }: EnrolmentContext,
): OwnWord | undefined {
  const labels = namespace?.metadata.labels ?? {};
  const own = pod.metadata.labels;
  const obstacle = obstacleOf(pod);
  if (obstacle !== undefined) return { mode: 'none', because: obstacle };
  if (!isOwnedBy(revision, own, labels)) {
    return { mode: 'none', because: 'its label istio.io/rev names another mesh' };
  }
  const said = modeOf(own[DATAPLANE_MODE]);
  if (said !== undefined) return { mode: said, because: `its label ${DATAPLANE_MODE} is ${said}` };
  // The pod's label of the sidecar age stands to the namespace's as it did then, and below the mesh's own.
  const isSidecarAge = modeOf(labels[DATAPLANE_MODE]) === undefined;
  const injection = isSidecarAge && !isBypassed ? own[INJECT] : undefined;
  if (injection === 'false') return { mode: 'none', because: `its label ${INJECT} is false` };
  const isAsked = injection === 'true' && labels[INJECTION] !== 'disabled';
  return isAsked ? { mode: 'ambient', because: `its label ${INJECT} is true` } : undefined;
}

/** Undefined for a namespace from which nothing is captured. */
export function enrolmentOf(
  name: string,
  namespace: Namespace | undefined,
  { exceptions, ...context }: EnrolmentContext & { readonly exceptions: readonly PodMode[] },
): Enrolment | undefined {
  const mode = namespaceMode(namespace, context);
  if (mode === 'none' && exceptions.length === 0) return undefined;
  return {
    namespace: name,
    mode,
    exceptions: exceptions.map(({ pod, mode: own, leftOut }) => ({
      pod,
      mode: own,
      ...(leftOut === undefined ? {} : { because: leftOut }),
    })),
    dnsCapture: namespace?.metadata.annotations[DNS_CAPTURE] !== 'false',
  };
}

/** Why a pod can never be captured. */
function obstacleOf({ metadata, spec }: Pod): string | undefined {
  if (spec.hostNetwork) return 'it is in the network of its node';
  return metadata.annotations[SIDECAR_STATUS] === undefined
    ? undefined
    : `it has a sidecar (annotation ${SIDECAR_STATUS})`;
}

function sidecarAgeMode(value: string | undefined): DataplaneMode | undefined {
  return value === 'enabled' ? 'ambient' : undefined;
}

function modeOf(value: string | undefined): DataplaneMode | undefined {
  return value === 'ambient' || value === 'none' ? value : undefined;
}

/** Enrolled, or tunnelling by itself. */
export function isInMesh(
  workload: WorkloadSpec,
  { podModes }: { readonly podModes: Collection<PodMode> },
): boolean {
  if (workload.kind !== 'Pod') return workload.isTunnelled;
  return podModes.get(workload.uid)?.isEnrolled === true;
}
