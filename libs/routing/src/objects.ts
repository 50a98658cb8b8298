/** Age of objects, as every precedence rule uses it. */
import type { ObjectMeta } from '@ambit/api';

interface Named {
  readonly metadata: ObjectMeta;
}

/** Older first, then by name, then by namespace. */
export function compareAge(a: Named, b: Named): number {
  return (
    a.metadata.creationTimestampMs - b.metadata.creationTimestampMs ||
    compareText(a.metadata.name, b.metadata.name) ||
    compareText(a.metadata.namespace, b.metadata.namespace)
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
