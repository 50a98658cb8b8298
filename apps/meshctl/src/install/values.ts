/** Values as Helm merges them: maps deeply, lists as a whole, `null` takes a key away. */
import { UserError } from '../errors.ts';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonMap;

export interface JsonMap {
  readonly [key: string]: JsonValue;
}

/** Of a path in `--set`; deeper is a mistake. */
const DEPTH_MAX = 16;
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

export function isMap(found: unknown): found is JsonMap {
  return typeof found === 'object' && found !== null && !Array.isArray(found);
}

/** By dotted path. */
export function valueAt(values: JsonMap, path: string): JsonValue | undefined {
  let found: JsonValue | undefined = values;
  for (const key of path.split('.')) {
    found = isMap(found) && Object.hasOwn(found, key) ? found[key] : undefined;
  }
  return found;
}

/** Later maps win. */
export function mergeValues(...layers: readonly JsonMap[]): JsonMap {
  return layers.reduce((merged, layer) => mergeTwo(merged, layer), {});
}

function mergeTwo(base: JsonMap, over: JsonMap): JsonMap {
  const result: Record<string, JsonValue> = { ...base };
  for (const [key, found] of Object.entries(over)) {
    const before = result[key];
    if (found === null) delete result[key];
    else if (isMap(found)) result[key] = mergeTwo(isMap(before) ? before : {}, found);
    else result[key] = found;
  }
  return result;
}

/** A map with one value deep inside. */
export function mapOf(path: readonly string[], found: JsonValue): JsonMap {
  const [key = '', ...rest] = path;
  return { [key]: rest.length === 0 ? found : mapOf(rest, found) };
}

/**
 * `a.b=c,d=1,e={x,y},f=null` as Helm reads it; `\` before `,`, `.`, `=`, `{` or `}` takes their meaning. Positions in lists
 * (`a[0]`) are refused: a list is given as a whole.
 */
export function parseSet(assignment: string): JsonMap {
  const layers = splitOutside(assignment, ',').map((part) => {
    const [path, ...rest] = splitOutside(part, '=');
    if (path === undefined || path === '' || rest.length === 0) {
      throw setError(assignment, `found "${part}"`, 'write --set path.to.value=VALUE');
    }
    return mapOf(parsePath(path, assignment), parseSetValue(rest.join('=')));
  });
  return mergeKeepingNull(layers);
}

function parsePath(path: string, assignment: string): readonly string[] {
  const keys = splitOutside(path, '.').map(unescaped);
  const wrong = keys.find((key) => key === '' || /[[\]]/.test(key) || FORBIDDEN_KEYS.has(key));
  if (wrong !== undefined || keys.length > DEPTH_MAX) {
    throw setError(
      assignment,
      `"${path.slice(0, 80)}" is no path`,
      'join names by dots; give a list as a whole: --set a.b={x,y}',
    );
  }
  return keys;
}

function setError(assignment: string, why: string, fix: string): UserError {
  return new UserError(`cannot read --set ${assignment.slice(0, 80)}`, { why, fix });
}

function parseSetValue(written: string): JsonValue {
  if (written.startsWith('{') && written.endsWith('}')) {
    const inner = written.slice(1, -1);
    return inner === '' ? [] : splitOutside(inner, ',').map(parseSetValue);
  }
  if (written === 'null') return null;
  if (written === 'true' || written === 'false') return written === 'true';
  if (/^(?:0|-?[1-9]\d{0,14})$/.test(written)) return Number(written);
  return unescaped(written);
}

/** `null` is an instruction to the layers below, so it must not be lost here. */
function mergeKeepingNull(layers: readonly JsonMap[]): JsonMap {
  const merge = (base: JsonMap, over: JsonMap): JsonMap => {
    const result: Record<string, JsonValue> = { ...base };
    for (const [key, found] of Object.entries(over)) {
      const before = result[key];
      result[key] = isMap(found) && isMap(before) ? merge(before, found) : found;
    }
    return result;
  };
  return layers.reduce(merge, {});
}

/** At a separator that is neither escaped nor inside of braces. */
function splitOutside(written: string, separator: string): readonly string[] {
  const parts = [''];
  let depth = 0;
  for (let at = 0; at < written.length; at += 1) {
    const char = written.charAt(at);
    if (char === '\\') {
      parts.push(`${parts.pop() ?? ''}${char}${written.charAt(at + 1)}`);
      at += 1;
    } else if (char === separator && depth === 0) {
      parts.push('');
    } else {
      depth += Number(char === '{') - Number(char === '}');
      parts.push(`${parts.pop() ?? ''}${char}`);
    }
  }
  return parts;
}

function unescaped(written: string): string {
  return written.replaceAll(/\\(.)/g, '$1');
}
