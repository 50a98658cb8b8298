/** Says what is wrong with values, all of it: the path, what was found, what is allowed, and what to do. */
import { isMap, type JsonMap, type JsonValue, mapOf, mergeValues, valueAt } from './values.ts';
import { VALUES, type ValueEntry } from './values-table.ts';

export interface ValueProblem {
  readonly path: string;
  readonly found: string;
  readonly allowed: string;
  readonly fix: string;
}

const FOUND_CHARS_MAX = 80;
const BY_PATH = new Map(VALUES.map((entry) => [entry.path, entry]));
const FOLDERS = new Set(
  VALUES.flatMap(({ path }) => {
    const keys = path.split('.');
    return keys.slice(1).map((_, at) => keys.slice(0, at + 1).join('.'));
  }),
);

/** The defaults as a tree. */
export function defaultValues(): JsonMap {
  return mergeValues(...VALUES.map((entry) => mapOf(entry.path.split('.'), entry.default)));
}

/** Of values that are merged already. */
export function checkValues(values: JsonMap): readonly ValueProblem[] {
  return [...unknownPaths(values, ''), ...VALUES.flatMap((entry) => checkEntry(entry, values))];
}

export function formatValueProblem({ path, found, allowed, fix }: ValueProblem): string {
  return `${path}: found ${found}, allowed: ${allowed}; ${fix}`;
}

function unknownPaths(values: JsonMap, prefix: string): readonly ValueProblem[] {
  return Object.entries(values).flatMap(([key, found]): readonly ValueProblem[] => {
    const path = `${prefix}${key}`;
    if (BY_PATH.has(path)) return [];
    if (FOLDERS.has(path)) {
      return isMap(found)
        ? unknownPaths(found, `${path}.`)
        : [
            {
              path,
              found: show(found),
              allowed: 'a map',
              fix: `set what is in it: ${childOf(path)}`,
            },
          ];
    }
    const allowed = [...BY_PATH.keys()].filter((known) => known.startsWith(prefix)).slice(0, 8);
    return [{ path, found: show(found), allowed: `${allowed.join(', ')} …`, fix: nearest(path) }];
  });
}

function childOf(folder: string): string {
  return [...BY_PATH.keys()].find((path) => path.startsWith(`${folder}.`)) ?? folder;
}

function nearest(path: string): string {
  const last = path.split('.').at(-1)?.toLowerCase() ?? '';
  const like = [...BY_PATH.keys()].find((known) => known.toLowerCase().endsWith(last));
  return like === undefined ? 'take it out: there is no such value' : `did you mean ${like}?`;
}

function checkEntry(entry: ValueEntry, values: JsonMap): readonly ValueProblem[] {
  const found = valueAt(values, entry.path);
  if (found === undefined) return [];
  const allowed = wanted(entry);
  if (fits(entry, found)) return [];
  const fix = `set ${entry.path}, or leave it out for ${show(entry.default)}`;
  return [{ path: entry.path, found: show(found), allowed, fix }];
}

function fits(entry: ValueEntry, found: JsonValue): boolean {
  switch (entry.type) {
    case 'boolean':
      return typeof found === 'boolean';
    case 'integer':
      return (
        Number.isInteger(found) &&
        Number(found) >= (entry.min ?? 0) &&
        Number(found) <= (entry.max ?? Number.MAX_SAFE_INTEGER)
      );
    case 'string':
      return (
        typeof found === 'string' &&
        (entry.allowed?.includes(found) ?? true) &&
        (entry.pattern === undefined || new RegExp(entry.pattern).test(found))
      );
    case 'map':
      return isMap(found);
    case 'list':
      return Array.isArray(found) && found.every((item) => isMap(item));
  }
}

function wanted(entry: ValueEntry): string {
  switch (entry.type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `a number from ${entry.min ?? 0} to ${entry.max ?? 'any'}`;
    case 'string':
      return (
        entry.allowed?.join(', ') ??
        `a text${entry.pattern === undefined ? '' : ` like ${entry.pattern}`}`
      );
    case 'map':
      return 'a map';
    case 'list':
      return 'a list of maps';
  }
}

function show(found: JsonValue): string {
  return JSON.stringify(found).slice(0, FOUND_CHARS_MAX);
}
