/** What an object's conditions say of the object as it is now. */
import type { Condition, ConditionStatus } from '../types.ts';
import type { AdminObject } from './admin-types.ts';

export function conditionOf(entry: AdminObject, type: string): Condition | undefined {
  const condition = entry.status?.conditions.find((one) => one.type === type);
  return condition === undefined ? undefined : ofNow(condition, entry);
}

/** The entry with conditions that say nothing they do not know. */
export function withConditionsOfNow(entry: AdminObject): AdminObject {
  const { object, status } = entry;
  if (object === undefined || status === undefined) return entry;
  const conditions = status.conditions.map((condition) => ofNow(condition, entry));
  return { ...entry, status: { ...status, conditions } };
}

/** What was counted for another generation says nothing of this one. */
function ofNow(condition: Condition, { object }: AdminObject): Condition {
  if (object === undefined || condition.type !== 'Enforced') return condition;
  const { generation } = object.metadata;
  if (condition.observedGeneration === generation) return condition;
  const status: ConditionStatus = 'Unknown';
  const message = `generation ${generation} is not counted yet; ${condition.status} is of generation ${condition.observedGeneration}`;
  return { ...condition, status, reason: 'Pending', message };
}
