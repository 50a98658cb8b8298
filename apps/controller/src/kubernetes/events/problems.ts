/**
 * What people should be told of an object by an Event: a refusal at once, and what may be over in a moment only when it lasts.
 */
import type { Condition, ObjectStatus } from '@ambit/model';

import { textWithFindings } from '../status/condition-text.ts';

export type EventReason = 'Invalid' | 'NotCaptured' | 'NotEnforced' | 'WaypointNotReady';

export interface Problem {
  readonly reason: EventReason;
  readonly note: string;
}

/** What the controller did or could not do. */
export const ACTIONS: Readonly<Record<EventReason, string>> = {
  Invalid: 'Validate',
  NotCaptured: 'Capture',
  NotEnforced: 'Enforce',
  WaypointNotReady: 'Provision',
};

const LASTING_MS = 30_000;

/** How long a problem has to last before it is told. */
export const HOLD_MS: Readonly<Record<EventReason, number>> = {
  Invalid: 0,
  NotCaptured: LASTING_MS,
  NotEnforced: LASTING_MS,
  WaypointNotReady: LASTING_MS,
};

/** Bytes; the server refuses longer ones. */
const NOTE_BYTES_MAX = 1_024;

export function problemsOf({ key, conditions, findings }: ObjectStatus): readonly Problem[] {
  const of = (type: string): Condition | undefined => conditions.find((one) => one.type === type);
  const accepted = of('Accepted');
  if (accepted?.status === 'False' && accepted.reason === 'Invalid') {
    return [problem('Invalid', textWithFindings(accepted.message, findings))];
  }
  const enforced = of('Enforced');
  const programmed = of('Programmed');
  const isWaypoint = key.startsWith('Gateway/') && accepted?.status === 'True';
  return [
    ...(enforced !== undefined && enforced.status !== 'True' && !isIdle(enforced, of('Attached'))
      ? [problem('NotEnforced', `${enforced.reason}: ${enforced.message}`)]
      : []),
    ...(isWaypoint && programmed !== undefined && programmed.status !== 'True'
      ? [problem('WaypointNotReady', programmed.message)]
      : []),
  ];
}

/** Whoever is not enrolled did not ask for it, and what selects nothing may do so tomorrow: its conditions say so. */
function isIdle({ reason }: Condition, attached: Condition | undefined): boolean {
  return reason === 'NotAttached'
    ? attached?.reason === 'NoEffect'
    : ['NotEnrolled', 'NotAccepted'].includes(reason);
}

export const NOT_CAPTURED: Problem = {
  reason: 'NotCaptured',
  note: 'the pod is enrolled and runs, and no agent has captured it: it is not in the mesh; see to the agent of its node, or restart the pod',
};

function problem(reason: EventReason, text: string): Problem {
  // One line in a table of events.
  const line = text.replaceAll('\n', ' ');
  return { reason, note: Buffer.byteLength(line) > NOTE_BYTES_MAX ? cut(line) : line };
}

/** To whole characters, with an ellipsis of three bytes. */
function cut(text: string): string {
  const bytes = Buffer.from(text).subarray(0, NOTE_BYTES_MAX - 3);
  return `${bytes.toString().replace(/\uFFFD$/, '')}…`;
}
