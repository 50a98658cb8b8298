/**
 * From zod's issues to findings that people can act on: path, what was found, what is allowed, the fix.
 */
import type * as z from 'zod';
import type { Finding } from '../types/finding.ts';
import { formatPath, type Path, valueAt } from '../value/path.ts';
import { nearestName } from '../value/suggest.ts';
import { typeFix } from './build.ts';
import type { FieldIndex } from './field-index.ts';

const FOUND_LENGTH_MAX = 80;

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false (boolean)',
  array: 'a list',
  object: 'an object (map)',
  record: 'an object (map)',
};

/** `value` as JSON in at most 80 characters; undefined for an absent value. */
export function shorten(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch {
    // Cyclic or a BigInt: it has no JSON, its type is all there is to say.
    json = typeof value;
  }
  if (json === undefined) return typeof value;
  return json.length <= FOUND_LENGTH_MAX ? json : `${json.slice(0, FOUND_LENGTH_MAX - 1)}…`;
}

export interface FindingInput {
  readonly code: string;
  readonly severity?: Finding['severity'];
  readonly path: Path;
  readonly message: string;
  readonly allowed?: string | undefined;
  readonly fix?: string | undefined;
}

/** A finding about the value at `path` of `root`. */
export function findingAt(root: unknown, input: FindingInput): Finding {
  const found = shorten(valueAt(root, input.path));
  return {
    code: input.code,
    severity: input.severity ?? 'error',
    path: formatPath(input.path),
    message: input.message,
    ...(found === undefined ? {} : { found }),
    ...(input.allowed === undefined ? {} : { allowed: input.allowed }),
    ...(input.fix === undefined ? {} : { fix: input.fix }),
  };
}

/** The findings of one issue; `root` is what was parsed, `fields` knows the kind's fields. */
export function findingsOfIssue(
  root: unknown,
  issue: z.core.$ZodIssue,
  fields: FieldIndex,
): Finding[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownField(root, path, key, fields));
  }
  if (issue.code === 'invalid_type') return [wrongType(root, path, issue.expected)];
  const params: Readonly<Record<string, unknown>> =
    issue.code === 'custom' ? (issue.params ?? {}) : {};
  const read = (key: string) => (typeof params[key] === 'string' ? params[key] : undefined);
  return [
    findingAt(root, {
      code: read('code') ?? 'INVALID_VALUE',
      path,
      message: issue.message,
      allowed: read('allowed'),
      fix: read('fix'),
    }),
  ];
}

function wrongType(root: unknown, path: Path, expected: string): Finding {
  const value = valueAt(root, path);
  if (value === undefined) {
    return findingAt(root, { code: 'REQUIRED_FIELD', path, message: 'is required' });
  }
  const allowed = TYPE_NAMES[expected] ?? expected;
  const fix = typeFix(value, allowed).fix;
  return findingAt(root, { code: 'WRONG_TYPE', path, message: 'has the wrong type', allowed, fix });
}

/** A field that the schema does not have, with where it may belong. */
function unknownField(root: unknown, parent: Path, key: string, fields: FieldIndex): Finding {
  const siblings = fields.childrenOf(parent);
  // One slip of the pen is a sibling; a name that exists elsewhere is a field in the wrong place.
  const places = fields.pathsOf(key, parent);
  const near = nearestName(key, siblings, places.length > 0 ? 1 : undefined);
  const direct = places.filter((place) => !place.includes('portLevelSettings'));
  const elsewhere = (direct.length > 0 ? direct : places).slice(0, 2);
  let fix = 'remove it';
  if (near !== undefined) fix = `did you mean ${near}?`;
  else if (elsewhere.length > 0) fix = `did you mean ${elsewhere.join(' or ')}?`;
  return findingAt(root, {
    code: 'UNKNOWN_FIELD',
    path: [...parent, key],
    message: 'is not a field of this kind; Kubernetes would drop it in silence',
    allowed: siblings.length > 0 && siblings.length <= 24 ? siblings.join(', ') : undefined,
    fix,
  });
}
