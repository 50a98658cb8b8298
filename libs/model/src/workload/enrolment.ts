/**
 * Who is in the mesh: the mode of a namespace, what a pod says for itself, and the few that never are
 * (semantics §4.1).
 *
 * A pod that was published outside of the mesh stays `NONE` until its agent has captured it: before that
 * nothing listens on its tunnel port. A pod that appears enrolled is captured before it starts.
 */
import type { Namespace, Pod } from '@ambit/api';

import type { Labels } from '../objects/keys.ts';
import {
  DATAPLANE_MODE,
  DNS_CAPTURE,
  GATEWAY_MANAGED,
  GATEWAY_NAME,
  INJECTION,
  SIDECAR_STATUS,
} from '../objects/labels.ts';
import type { Enrolment } from '../types.ts';

export type DataplaneMode = Enrolment['mode'];

/** How one pod stands to its namespace. */
export interface PodMode {
  readonly pod: string;
  readonly namespace: string;
  readonly mode: DataplaneMode;
  readonly differs: boolean;
  /** Enrolled, and the host's network aside, something that an agent can capture. */
  readonly isEnrolled: boolean;
}

/**
 * The mode of pods that say nothing. The mesh's own label beats the one of the sidecar age; a bypass beats both for
 * as long as it lasts.
 */
export function namespaceMode(namespace: Namespace | undefined, isBypassed = false): DataplaneMode {
  if (isBypassed) return 'none';
  const labels = namespace?.metadata.labels ?? {};
  const own = modeOf(labels[DATAPLANE_MODE]);
  if (own !== undefined) return own;
  return labels[INJECTION] === 'enabled' ? 'ambient' : 'none';
}

export function podMode(pod: Pod, namespace: Namespace | undefined, isBypassed = false): PodMode {
  const { metadata, spec } = pod;
  const base = namespaceMode(namespace, isBypassed);
  const wanted = modeOf(metadata.labels[DATAPLANE_MODE]) ?? base;
  const mode = canBeEnrolled(pod) ? wanted : 'none';
  return {
    pod: metadata.name,
    namespace: metadata.namespace,
    mode,
    differs: mode !== base,
    isEnrolled: mode === 'ambient' && !spec.hostNetwork,
  };
}

/** What is decided for a pod whatever its namespace says; undefined if that decides. */
export function ownMode(pod: Pod): DataplaneMode | undefined {
  return canBeEnrolled(pod) ? modeOf(pod.metadata.labels[DATAPLANE_MODE]) : 'none';
}

/** Undefined for a namespace from which nothing is captured. */
export function enrolmentOf(
  name: string,
  namespace: Namespace | undefined,
  {
    exceptions,
    isBypassed,
  }: { readonly exceptions: readonly PodMode[]; readonly isBypassed: boolean },
): Enrolment | undefined {
  const mode = namespaceMode(namespace, isBypassed);
  if (mode === 'none' && exceptions.length === 0) return undefined;
  return {
    namespace: name,
    mode,
    exceptions: exceptions.map((exception) => ({ pod: exception.pod, mode: exception.mode })),
    dnsCapture: namespace?.metadata.annotations[DNS_CAPTURE] !== 'false',
  };
}

/** Not pods of the host's network, not those with a sidecar, not the mesh's own proxies. */
function canBeEnrolled({ metadata, spec }: Pod): boolean {
  return (
    !spec.hostNetwork &&
    metadata.annotations[SIDECAR_STATUS] === undefined &&
    !isMeshProxy(metadata.labels)
  );
}

function isMeshProxy(labels: Labels): boolean {
  const app = labels['app'] ?? labels['app.kubernetes.io/name'];
  if (app === 'ztunnel' || app === 'ambit-node-agent') return true;
  return labels[GATEWAY_NAME] !== undefined && labels[GATEWAY_MANAGED] !== undefined;
}

function modeOf(value: string | undefined): DataplaneMode | undefined {
  return value === 'ambient' || value === 'none' ? value : undefined;
}
