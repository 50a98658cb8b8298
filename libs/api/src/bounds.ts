/**
 * Bounds on untrusted JSON, checked before anything recurses into it: depth, number of values, length
 * of one text. On the way, a copy without the fields that are null, which Kubernetes drops as well.
 */
import type { Finding } from './types/finding.ts';
import { formatPath, type Path } from './value/path.ts';

/** Nesting; the deepest field of a schema is at 14. */
export const OBJECT_DEPTH_MAX = 40;
/** Values in one object; etcd's 1.5 MiB hold fewer. */
export const OBJECT_VALUES_MAX = 200_000;
/** Characters of one text. */
export const TEXT_LENGTH_MAX = 1_048_576;

/** Paths of null fields that are kept for the report. */
const NULLS_MAX = 50;

export type Bounded =
  | { readonly kind: 'ok'; readonly value: unknown; readonly nulls: readonly Path[] }
  | { readonly kind: 'error'; readonly finding: Finding };

class LimitError extends Error {
  readonly path: Path;
  constructor(message: string, path: Path) {
    super(message);
    this.path = path;
  }
}

/** A copy of `value` without null fields and own `__proto__` keys, or the bound that it breaks. */
export function nullsDropped(value: unknown): Bounded {
  let count = 0;
  const nulls: Path[] = [];
  // One stack for the way down: a path a value would cost more than the copy itself.
  const path: (string | number)[] = [];
  const below = (key: string | number, item: unknown): unknown => {
    path.push(key);
    const copied = copy(item);
    path.pop();
    return copied;
  };
  const copy = (item: unknown): unknown => {
    count += 1;
    if (count > OBJECT_VALUES_MAX) {
      throw new LimitError(`has more than ${OBJECT_VALUES_MAX} values`, []);
    }
    if (path.length > OBJECT_DEPTH_MAX) {
      throw new LimitError(`is nested deeper than ${OBJECT_DEPTH_MAX} levels`, path.slice(0, 8));
    }
    if (typeof item === 'string' && item.length > TEXT_LENGTH_MAX) {
      throw new LimitError(`is longer than ${TEXT_LENGTH_MAX} characters`, [...path]);
    }
    if (Array.isArray(item)) return item.map((each: unknown, index) => below(index, each));
    if (typeof item === 'bigint') return Number(item);
    // No JSON has them; a caller's mistake must not run anybody's code here.
    if (typeof item === 'function' || typeof item === 'symbol') return undefined;
    if (typeof item !== 'object' || item === null) return item;
    const copied: Record<string, unknown> = {};
    for (const key of Object.keys(item)) {
      const field: unknown = Reflect.get(item, key);
      if (field === null && nulls.length < NULLS_MAX) nulls.push([...path, key]);
      if (field === null || field === undefined || key === '__proto__') continue;
      copied[key] = below(key, field);
    }
    return copied;
  };
  try {
    return { kind: 'ok', value: copy(value), nulls };
  } catch (error) {
    if (!(error instanceof LimitError)) throw error;
    return {
      kind: 'error',
      finding: {
        code: 'OBJECT_LIMIT',
        severity: 'error',
        path: formatPath(error.path),
        message: error.message,
      },
    };
  }
}
