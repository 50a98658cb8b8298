/**
 * Conditions and findings of the model, in the words that people read.
 *
 * Types and reasons are closed lists: scripts wait for them. `Enforced` is not among them, because only
 * whoever counts acknowledgements knows it.
 */
import type { Finding, ObjectKey } from '@ambit/api';

import type { Condition, ConditionStatus } from '../types.ts';
import type { BindingReason } from '../waypoint/waypoints.ts';

export type ConditionType =
  | 'Accepted'
  | 'Attached'
  | 'ResolvedRefs'
  | 'WaypointReady'
  | 'Programmed'
  | 'Bypassed';

export type ConditionReason =
  | 'Accepted'
  | 'Invalid'
  | 'UnsupportedField'
  | 'UnsupportedClass'
  | 'UnsupportedKind'
  | 'Conflicted'
  | 'NoMatchingParent'
  | 'AtAgents'
  | 'AtWaypoint'
  | 'NoEffect'
  | 'NotExported'
  | 'NotEnrolled'
  | 'TargetNotFound'
  | 'ResolvedRefs'
  | 'RefNotFound'
  | 'WaypointReady'
  | 'WaypointNotReady'
  | 'WaypointNotFound'
  | 'WaypointForeign'
  | 'NamespaceForeign'
  | 'WaypointOptedOut'
  | 'AttachmentDenied'
  | 'UnsupportedTrafficType'
  | 'WaypointBehindAgent'
  | 'InvalidBinding'
  | 'InstanceNotFound'
  | 'Programmed'
  | 'Pending'
  | 'AddressNotFound'
  | 'HostNetwork'
  | 'WrongServiceAccount'
  | 'BreakGlass'
  | 'BypassOver';

export function condition(
  type: ConditionType,
  status: ConditionStatus,
  reason: ConditionReason,
  message: string,
  observedGeneration: number,
): Condition {
  return { type, status, reason, message, observedGeneration };
}

/** What a binding means to whoever needs it. */
export const BINDING_REASONS: Readonly<
  Record<Exclude<BindingReason, 'Bound' | 'NotNeeded'>, ConditionReason>
> = {
  OptedOut: 'WaypointOptedOut',
  WaypointNotFound: 'WaypointNotFound',
  WaypointForeign: 'WaypointForeign',
  NamespaceForeign: 'NamespaceForeign',
  AttachmentDenied: 'AttachmentDenied',
  UnsupportedTrafficType: 'UnsupportedTrafficType',
  BehindAgent: 'WaypointBehindAgent',
};

/** `subject`: one, or several as a list. */
export function bindingText(reason: BindingReason, waypoint: string, subject: string): string {
  const why = bindingCause(reason, waypoint, subject);
  if (reason === 'OptedOut') {
    return `${why}, so nobody decides for it by the request: ${WHERE_NEEDED}`;
  }
  return reason === 'BehindAgent'
    ? `${why}, which gets neither policies nor routes of this mesh: ${WHERE_NEEDED}`
    : why;
}

const WHERE_NEEDED = 'where a policy needs that, callers are refused';

function bindingCause(reason: BindingReason, waypoint: string, subject: string): string {
  switch (reason) {
    case 'Bound':
    case 'NotNeeded':
      return `${subject} goes through waypoint ${waypoint}`;
    case 'OptedOut':
      return `a label says that ${subject} uses no waypoint`;
    case 'WaypointNotFound':
      return `waypoint ${waypoint}, which a label names for ${subject}, does not exist`;
    case 'WaypointForeign':
      return `waypoint ${waypoint} for ${subject} is of another mesh (istio.io/rev of the Gateway or its namespace), which says what becomes of it`;
    case 'NamespaceForeign':
      return `no waypoint is made for ${subject}: the namespace is another mesh's, and no pod there is of this one`;
    case 'AttachmentDenied':
      return `the listener of waypoint ${waypoint} does not admit the namespace of ${subject}`;
    case 'UnsupportedTrafficType':
      return `waypoint ${waypoint} does not take this kind of traffic (istio.io/waypoint-for), needed by ${subject}`;
    case 'BehindAgent':
      return `waypoint ${waypoint} for ${subject} is a proxy behind its agent`;
  }
}

/** Of a policy where nobody judges by it, and no guard refuses callers for it. */
export function openText(reason: BindingReason, waypoint: string, subject: string): string {
  const why = bindingCause(reason, waypoint, subject);
  const gets = reason === 'BehindAgent' ? ', which gets no policies of this mesh' : '';
  return `${why}${gets}: nobody judges by this one, and callers go on`;
}

export function warning(code: string, path: string, message: string, fix?: string): Finding {
  return { code, severity: 'warning', path, message, ...(fix === undefined ? {} : { fix }) };
}

/** At most five names, so that a message stays one. */
export function listKeys(keys: readonly ObjectKey[]): string {
  const shown = keys.slice(0, 5).join(', ');
  return keys.length > 5 ? `${shown} and ${keys.length - 5} more` : shown;
}
