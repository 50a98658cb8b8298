/**
 * How new entries get into a status that others write too: those of other controllers stay, ours are
 * replaced, nothing is ever there twice, and what did not change keeps its time.
 */
import type { Condition } from '../../types.ts';
import type { ParentRefFacts } from './world.ts';

/** What the API takes of parents. */
const ENTRIES_MAX = 32;

export interface TimedCondition extends Condition {
  /** RFC 3339. */
  readonly lastTransitionTime: string;
}

/** `next` with the times of `previous` where type and status are the same. Others' types are kept after ours. */
export function withTransitionTimes(
  next: readonly Condition[],
  previous: readonly TimedCondition[],
  now: string,
): readonly TimedCondition[] {
  const before = new Map(previous.map((condition) => [condition.type, condition]));
  const ours = next.map((condition) => {
    const old = before.get(condition.type);
    const isSame = old?.status === condition.status;
    return { ...condition, lastTransitionTime: isSame ? old.lastTransitionTime : now };
  });
  const types = new Set(next.map(({ type }) => type));
  return [...ours, ...[...before.values()].filter(({ type }) => !types.has(type))];
}

export interface ParentEntry<C> {
  readonly parentRef: ParentRefFacts;
  readonly controllerName: string;
  readonly conditions: readonly C[];
}

/** The whole list to write: at most 32 entries, others' first. */
export function mergeParents(
  next: readonly ParentEntry<Condition>[],
  previous: readonly ParentEntry<TimedCondition>[],
  options: { readonly controllerName: string; readonly now: string },
): readonly ParentEntry<TimedCondition>[] {
  const { controllerName, now } = options;
  const foreign = previous.filter((entry) => entry.controllerName !== controllerName);
  const before = new Map(
    previous
      .filter((entry) => entry.controllerName === controllerName)
      .map((entry) => [keyOf(entry.parentRef), entry.conditions]),
  );
  const ours = new Map<string, ParentEntry<TimedCondition>>();
  for (const entry of next) {
    const key = keyOf(entry.parentRef);
    if (ours.has(key)) continue;
    const conditions = withTransitionTimes(entry.conditions, before.get(key) ?? [], now);
    ours.set(key, { ...entry, conditions });
  }
  return [...foreign, ...ours.values()].slice(0, ENTRIES_MAX);
}

function keyOf({ group, kind, namespace, name, port, sectionName }: ParentRefFacts): string {
  return JSON.stringify([group, kind, namespace ?? null, name, port ?? null, sectionName ?? null]);
}
