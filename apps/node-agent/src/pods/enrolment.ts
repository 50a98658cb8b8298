/**
 * Which pods are captured, decided on the node. Pure.
 *
 * Order: what can never be captured, then the pod's own label, then what the controller says about this pod,
 * then the namespace's mode. Without any word from a controller, ever, only the pod's own label decides.
 */
import type { Enrolment } from '@ambit/model';
import { exclusionsOf } from '../capture/exclusions.ts';
import type { CaptureOptions } from '../capture/rules.ts';
import type { Pod } from './pod.ts';

export const DATAPLANE_MODE_LABEL = 'istio.io/dataplane-mode';
const SIDECAR_ANNOTATION = 'sidecar.istio.io/status';
const DNS_ANNOTATION = 'ambient.istio.io/dns-capture';
const BYPASS_ANNOTATION = 'ambient.istio.io/bypass-inbound-capture';
const INTERFACES_ANNOTATION = 'istio.io/reroute-virtual-interfaces';
/** IFNAMSIZ is 16 with its zero byte; only characters that need no quoting in a rule. */
const INTERFACE_NAME = /^[A-Za-z0-9_.-]{1,15}$/;
const INTERFACES_MAX = 16;

export type EnrolmentDecision =
  | { readonly mode: 'ambient' | 'none'; readonly reason: string }
  /** No controller has been heard yet, now or in an earlier life of this node's state. */
  | { readonly mode: 'unknown'; readonly reason: string };

/** `enrolments` undefined: none was ever received. A namespace that is not in it is not enrolled. */
export function decideEnrolment(
  pod: Pod,
  enrolments: ReadonlyMap<string, Enrolment> | undefined,
): EnrolmentDecision {
  if (pod.annotations[SIDECAR_ANNOTATION] !== undefined) {
    return { mode: 'none', reason: 'the pod has a sidecar' };
  }
  const own = pod.labels[DATAPLANE_MODE_LABEL];
  if (own === 'ambient' || own === 'none') {
    return { mode: own, reason: `label ${DATAPLANE_MODE_LABEL}=${own} of the pod` };
  }
  if (enrolments === undefined) {
    return {
      mode: 'unknown',
      reason: 'no controller has told this node which namespaces are enrolled',
    };
  }
  const enrolment = enrolments.get(pod.namespace);
  if (enrolment === undefined) {
    return { mode: 'none', reason: `namespace ${pod.namespace} is not enrolled` };
  }
  const exception = enrolment.exceptions.find(({ pod: name }) => name === pod.name);
  return exception === undefined
    ? { mode: enrolment.mode, reason: `mode ${enrolment.mode} of namespace ${pod.namespace}` }
    : { mode: exception.mode, reason: `the controller says ${exception.mode} for this pod` };
}

/** Pods of such a namespace wait for an agent: all of it is enrolled, or pods in it are by themselves. */
export function holdsPods({ mode, exceptions }: Enrolment): boolean {
  return mode === 'ambient' || exceptions.some((exception) => exception.mode === 'ambient');
}

/** How a captured pod is captured. Annotations that make no sense are left out, never half applied. */
export function captureOptionsOf(
  pod: Pod,
  enrolment: Enrolment | undefined,
  defaults: Pick<CaptureOptions, 'dnsCapture' | 'probeSources'>,
): CaptureOptions {
  const dns = pod.annotations[DNS_ANNOTATION];
  const interfaces = (pod.annotations[INTERFACES_ANNOTATION] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => INTERFACE_NAME.test(name))
    .slice(0, INTERFACES_MAX);
  const exclusions = exclusionsOf(pod.annotations);
  return {
    dnsCapture:
      defaults.dnsCapture &&
      (dns === 'true' || (dns !== 'false' && (enrolment?.dnsCapture ?? true))),
    bypassInbound: pod.annotations[BYPASS_ANNOTATION] === 'true',
    virtualInterfaces: interfaces,
    ...(exclusions === undefined ? {} : { exclusions }),
    probeSources: defaults.probeSources,
  };
}
