/** Small pieces that every hop is made of. */
import type { ObjectKey } from '@ambit/api';
import type { Workload } from '@ambit/model';
import type { PhaseName } from '@ambit/routing';
import type { Branch, End, Hop, HopPlace, ObjectReference, Step } from './types.ts';

export function note(text: string, objects: readonly ObjectReference[] = []): Step {
  return { outcome: 'note', text, objects };
}

export function pass(text: string, objects: readonly ObjectReference[] = []): Step {
  return { outcome: 'pass', text, objects };
}

export function miss(text: string, objects: readonly ObjectReference[] = []): Step {
  return { outcome: 'miss', text, objects };
}

/** What a waypoint does in a phase of a request. Undefined: for a connection, which has none. */
export function during(phase: PhaseName | undefined, ...steps: readonly Step[]): readonly Step[] {
  return phase === undefined ? steps : steps.map((step) => ({ ...step, phase }));
}

export interface HopHead {
  readonly place: HopPlace;
  readonly title: string;
  readonly steps: readonly Step[];
}

export type Ending = Omit<End, 'objects'> & { readonly objects?: readonly ObjectReference[] };

export function ends(head: HopHead, end: Ending): Hop {
  return { ...head, end: { objects: [], ...end }, next: [] };
}

export function goesOn(head: HopHead, next: readonly Branch[]): Hop {
  return { ...head, next };
}

export function endsRefused(head: HopHead, refusal: Omit<Ending, 'outcome'>): Hop {
  return ends(head, { outcome: 'refused', ...refusal });
}

export function references(keys: readonly ObjectKey[]): readonly ObjectReference[] {
  return keys.map((key) => ({ key }));
}

export function describeWorkload(workload: Workload): string {
  const node = workload.node === '' ? '' : ` on ${workload.node}`;
  return `${workload.namespace}/${workload.name}${node}`;
}
