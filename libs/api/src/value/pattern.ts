/**
 * Path patterns of the tables: `spec.http[].route[].weight`. `[]` is every item, `*` every key,
 * `{sidecar.istio.io/}` every key that begins so.
 */
import { isRecord, type Path } from './path.ts';

/** Paths of `root` that exist and fit `pattern`. */
export function expandPattern(root: unknown, pattern: string): readonly Path[] {
  let found: { readonly path: Path; readonly value: unknown }[] = [{ path: [], value: root }];
  for (const step of stepsOf(pattern)) {
    if (found.length === 0) return [];
    found = found.flatMap(({ path, value }) =>
      childrenAt(value, step).map(([key, child]) => ({ path: [...path, key], value: child })),
    );
  }
  return found.map(({ path }) => path);
}

/** Patterns come from tables of this package only, so that this cannot grow. */
const STEPS = new Map<string, readonly string[]>();

function stepsOf(pattern: string): readonly string[] {
  const known = STEPS.get(pattern);
  if (known !== undefined) return known;
  const steps: readonly string[] = pattern.match(/\[\]|\{[^}]*\}|[^.[\]{}]+/g) ?? [];
  STEPS.set(pattern, steps);
  return steps;
}

function childrenAt(
  value: unknown,
  step: string,
): readonly (readonly [string | number, unknown])[] {
  if (step === '[]')
    return Array.isArray(value) ? value.map((item, index) => [index, item] as const) : [];
  if (!isRecord(value)) return [];
  if (step === '*') return Object.entries(value);
  if (step.startsWith('{')) {
    const prefix = step.slice(1, -1);
    return Object.entries(value).filter(([key]) => key.startsWith(prefix));
  }
  return Object.hasOwn(value, step) ? [[step, value[step]]] : [];
}
