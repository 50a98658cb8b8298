/**
 * The fields of a kind, read off its schema, for "did you mean": which are siblings of a wrong one,
 * and where else in the kind a field of that name belongs.
 */
import type * as z from 'zod';
import { formatPath, type Path } from '../value/path.ts';

export interface FieldIndex {
  /** Names of the fields of the object at `parent`. */
  readonly childrenOf: (parent: Path) => readonly string[];
  /** Places where a field `name` belongs, nearest to `parent` first, lists shown as `[]`. */
  readonly pathsOf: (name: string, parent: Path) => readonly string[];
}

const DEPTH_MAX = 14;

/** `extra` are further known fields as patterns (`spec.trafficPolicy.tunnel`). */
export function buildFieldIndex(
  schema: z.core.$ZodType,
  extra: readonly string[] = [],
): FieldIndex {
  const children = new Map<string, Set<string>>();
  walk(schema, '', children, 0);
  for (const pattern of extra) {
    const cut = pattern.lastIndexOf('.');
    if (cut > 0) addTo(children, pattern.slice(0, cut), pattern.slice(cut + 1));
  }
  return {
    childrenOf: (parent) => [...(children.get(patternOf(parent)) ?? [])],
    pathsOf: (name, parent) => {
      const from = patternOf(parent);
      return [...children]
        .filter(([, names]) => names.has(name))
        .map(([place]) => ({ place, shared: sharedLength(place, from) }))
        .sort((a, b) => b.shared - a.shared || a.place.length - b.place.length)
        .map(({ place }) => (place === '' ? name : `${withIndexes(place, parent)}.${name}`));
    },
  };
}

function walk(
  schema: z.core.$ZodType,
  path: string,
  children: Map<string, Set<string>>,
  depth: number,
): void {
  if (depth > DEPTH_MAX) return;
  // zod's definitions are a closed union that its types do not expose by discriminant.
  const def = schema._zod.def as z.core.$ZodTypeDef & Readonly<Record<string, unknown>>;
  const into = (key: string, at: string) => {
    const next = def[key];
    if (typeof next === 'object' && next !== null)
      walk(next as z.core.$ZodType, at, children, depth + 1);
  };
  if (def.type === 'object') {
    const shape = (def['shape'] ?? {}) as Readonly<Record<string, z.core.$ZodType>>;
    for (const [key, field] of Object.entries(shape)) {
      addTo(children, path, key);
      walk(field, path === '' ? key : `${path}.${key}`, children, depth + 1);
    }
  } else if (def.type === 'array') into('element', `${path}[]`);
  else if (def.type === 'record') into('valueType', `${path}.*`);
  else into(def.type === 'pipe' ? 'in' : 'innerType', path);
}

function addTo(children: Map<string, Set<string>>, place: string, name: string): void {
  const names = children.get(place) ?? new Set<string>();
  names.add(name);
  children.set(place, names);
}

function patternOf(path: Path): string {
  return formatPath(path).replace(/\[\d+\]/g, '[]');
}

/** The indexes of `parent` put into `place` as far as both run together. */
function withIndexes(place: string, parent: Path): string {
  const actual = formatPath(parent).split('.');
  let together = true;
  return place
    .split('.')
    .map((part, index) => {
      const own = actual[index];
      together &&= own !== undefined && own.replace(/\[\d+\]/g, '[]') === part;
      return together && own !== undefined ? own : part;
    })
    .join('.');
}

function sharedLength(a: string, b: string): number {
  const left = a.split('.');
  const right = b.split('.');
  let shared = 0;
  while (shared < left.length && left[shared] === right[shared]) shared += 1;
  return shared;
}
