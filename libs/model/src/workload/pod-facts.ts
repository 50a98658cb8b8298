/**
 * What an agent must know of a pod before the pod has an address: who it is, and how it is to be captured.
 *
 * A pod's Namespace is known first: without it nobody can say that the pod is none of the mesh's.
 */
import type { Namespace, Pod } from '@ambit/api';

import { DNS_CAPTURE } from '../objects/labels.ts';
import type { PodFacts } from '../types.ts';
import { type EnrolmentContext, ownMode } from './enrolment.ts';

/** Of a static pod: what kubelet calls its uid, while the API's is that of the mirror. */
export const STATIC_POD_HASH = 'kubernetes.io/config.hash';

const SIDECAR = 'traffic.sidecar.istio.io';

/** Annotations that say how a pod is captured; others never leave the controller. */
export const CAPTURE_ANNOTATIONS: readonly string[] = [
  DNS_CAPTURE,
  'ambient.istio.io/bypass-inbound-capture',
  'istio.io/reroute-virtual-interfaces',
  `${SIDECAR}/excludeInboundPorts`,
  `${SIDECAR}/excludeOutboundPorts`,
  `${SIDECAR}/excludeOutboundIPRanges`,
];

/** A list of ports or ranges that is longer than this is nobody's intention. */
const ANNOTATION_CHARS_MAX = 4096;

/** Undefined for a pod that has no network of its own, has ended, or belongs to a namespace that is not known yet. */
export function podFacts(
  pod: Pod,
  namespace: Namespace | undefined,
  context: EnrolmentContext = {},
): PodFacts | undefined {
  const { metadata, spec, status } = pod;
  const hasEnded = status.phase === 'Succeeded' || status.phase === 'Failed';
  if (namespace === undefined || spec.hostNetwork || spec.nodeName === '' || hasEnded) {
    return undefined;
  }
  const mode = ownMode(pod, namespace, context);
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.annotations[STATIC_POD_HASH] ?? metadata.uid ?? '',
    node: spec.nodeName,
    serviceAccount: spec.serviceAccountName || 'default',
    ...(mode === undefined ? {} : { mode }),
    annotations: Object.fromEntries(
      CAPTURE_ANNOTATIONS.flatMap((key) => {
        const value = metadata.annotations[key];
        return value === undefined || value.length > ANNOTATION_CHARS_MAX ? [] : [[key, value]];
      }),
    ),
  };
}
