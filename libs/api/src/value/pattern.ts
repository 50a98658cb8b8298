/**
 * Path patterns of the tables: `spec.http[].route[].weight`. `[]` is every item, `*` every key,
 * `{sidecar.istio.io/}` every key that begins so.
 *
 * Most patterns fit nothing in most objects, and every pod is asked for all of them: what is not there makes no garbage.
 */
import { isRecord, type Path } from './path.ts';

type Step =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'items' };

/** Paths of `root` that exist and fit `pattern`. */
export function expandPattern(root: unknown, pattern: string): readonly Path[] {
  const found: Path[] = [];
  walk(root, [], { steps: stepsOf(pattern), found });
  return found;
}

/** `above`: where `value` is; changed and put back. */
function walk(
  value: unknown,
  above: (string | number)[],
  into: { readonly steps: readonly Step[]; readonly found: Path[] },
): void {
  const step = into.steps[above.length];
  if (step === undefined) {
    into.found.push([...above]);
    return;
  }
  const visit = (key: string | number, child: unknown): void => {
    above.push(key);
    walk(child, above, into);
    above.pop();
  };
  if (step.kind === 'items') {
    if (Array.isArray(value)) for (const [index, item] of value.entries()) visit(index, item);
    return;
  }
  if (!isRecord(value)) return;
  if (step.kind === 'key') {
    if (Object.hasOwn(value, step.key)) visit(step.key, value[step.key]);
    return;
  }
  for (const key of Object.keys(value)) if (key.startsWith(step.prefix)) visit(key, value[key]);
}

/** Patterns come from tables of this package only, so that this cannot grow. */
const STEPS = new Map<string, readonly Step[]>();

function stepsOf(pattern: string): readonly Step[] {
  const known = STEPS.get(pattern);
  if (known !== undefined) return known;
  const steps = (pattern.match(/\[\]|\{[^}]*\}|[^.[\]{}]+/g) ?? []).map((text): Step => {
    if (text === '[]') return { kind: 'items' };
    if (text === '*') return { kind: 'prefix', prefix: '' };
    if (text.startsWith('{')) return { kind: 'prefix', prefix: text.slice(1, -1) };
    return { kind: 'key', key: text };
  });
  STEPS.set(pattern, steps);
  return steps;
}
