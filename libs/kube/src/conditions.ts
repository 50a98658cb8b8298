/**
 * Status conditions as Kubernetes means them (metav1.Condition).
 *
 * `lastTransitionTime` is when `status` changed and nothing else; a condition whose status is the same
 * keeps it, so that writing the same facts again changes nothing.
 */

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  /** RFC 3339, whole seconds. */
  readonly lastTransitionTime: string;
}

export type WantedCondition = Omit<Condition, 'lastTransitionTime'>;

/** The API's own limit of `message`. */
const MESSAGE_CHARS_MAX = 32_768;

export interface MergeOptions {
  /** Milliseconds since the epoch. */
  readonly wallNowMs: number;
  /** Types of ours that no longer hold in any way. */
  readonly remove?: readonly string[];
}

/**
 * The conditions with the wanted ones in their places; those of other types stay as they are. Answers
 * `current` itself if nothing changes. An observation of an older generation does not replace a newer one.
 */
export function mergeConditions(
  current: readonly Condition[] | undefined,
  wanted: readonly WantedCondition[],
  { wallNowMs, remove = [] }: MergeOptions,
): readonly Condition[] {
  const before = current ?? [];
  const lastTransitionTime = new Date(wallNowMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const merged = before.filter((condition) => !remove.includes(condition.type));
  let isChanged = merged.length !== before.length || current === undefined;
  for (const condition of wanted) {
    const at = merged.findIndex((c) => c.type === condition.type);
    const old = merged[at];
    const next = mergeOne(old, condition, lastTransitionTime);
    if (old === undefined) {
      merged.push(next);
    } else {
      merged[at] = next;
    }
    isChanged ||= next !== old;
  }
  return isChanged ? merged : before;
}

function mergeOne(
  old: Condition | undefined,
  wanted: WantedCondition,
  lastTransitionTime: string,
): Condition {
  const next = { ...wanted, message: wanted.message.slice(0, MESSAGE_CHARS_MAX) };
  if (old === undefined) {
    return { ...next, lastTransitionTime };
  }
  const isOlder = (wanted.observedGeneration ?? 0) < (old.observedGeneration ?? 0);
  const isSame =
    old.status === next.status &&
    old.reason === next.reason &&
    old.message === next.message &&
    old.observedGeneration === next.observedGeneration;
  if (isOlder || isSame) {
    return old;
  }
  const isTransition = old.status !== next.status;
  return {
    ...next,
    lastTransitionTime: isTransition ? lastTransitionTime : old.lastTransitionTime,
  };
}
