/**
 * The value grammar of policies: `x` exact, `x*` prefix, `*x` suffix, `*` not empty. A `*` anywhere else
 * is an ordinary character. Paths add templates: `{*}` is one segment, `{**}` any rest.
 */
import type { PathPattern, StringPattern } from './types.ts';

const ONE_SEGMENT = '{*}';
const ANY_REST = '{**}';
/** From this many exact values on, a Set is cheaper than comparing one by one. */
const SET_FROM = 8;

/** A value as people write it. Reads a leading star before a trailing one: `*a*` is the suffix `a*`. */
export function parseStringPattern(value: string): StringPattern {
  if (value === '*') {
    return { kind: 'presence' };
  }
  if (value.startsWith('*')) {
    return { kind: 'suffix', value: value.slice(1) };
  }
  return value.endsWith('*')
    ? { kind: 'prefix', value: value.slice(0, -1) }
    : { kind: 'exact', value };
}

const NOT_ASCII = /[^\0-\x7f]/;

/** Text as it is sent, in UTF-8, with one character for each byte. */
export function octetsOf(text: string): string {
  return NOT_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

/** Undefined for a template that breaks the grammar. */
export function parsePathPattern(value: string): PathPattern | undefined {
  if (!value.includes(ONE_SEGMENT) && !value.includes(ANY_REST)) {
    return parseStringPattern(value);
  }
  return isTemplate(value) ? { kind: 'template', value } : undefined;
}

/** Operators fill a whole segment, `{**}` is the last one, and no other star or brace occurs. */
function isTemplate(value: string): boolean {
  let afterRest = false;
  if (!value.startsWith('/')) {
    return false;
  }
  for (const segment of value.slice(1).split('/')) {
    const isOperator = segment === ONE_SEGMENT || segment === ANY_REST;
    if (isOperator ? afterRest : /[*{}]/.test(segment)) {
      return false;
    }
    afterRest ||= segment === ANY_REST;
  }
  return true;
}

/** The naive meaning of one pattern, for a single comparison. */
export function matchesPattern(pattern: PathPattern, value: string): boolean {
  switch (pattern.kind) {
    case 'exact':
      return value === pattern.value;
    case 'prefix':
      return value.startsWith(pattern.value);
    case 'suffix':
      return value.endsWith(pattern.value);
    case 'presence':
      return value !== '';
    case 'template':
      return matchesTemplate(pattern.value, value);
  }
}

/** One pass over both strings; no regular expression, so time is linear in the path. */
function matchesTemplate(template: string, path: string): boolean {
  let at = 0;
  let from = 0;
  for (;;) {
    const brace = template.indexOf('{', from);
    if (brace === -1) {
      return path.slice(at) === template.slice(from);
    }
    const literal = template.slice(from, brace);
    if (!path.startsWith(literal, at)) {
      return false;
    }
    at += literal.length;
    if (template.startsWith(ANY_REST, brace)) {
      const tail = template.slice(brace + ANY_REST.length);
      return path.length - at >= tail.length && path.endsWith(tail);
    }
    const slash = path.indexOf('/', at);
    const end = slash === -1 ? path.length : slash;
    if (end === at) {
      return false;
    }
    at = end;
    from = brace + ONE_SEGMENT.length;
  }
}

/** A test for "any of these", prepared once so that a check allocates nothing. */
export function compilePatterns(patterns: readonly PathPattern[]): (value: string) => boolean {
  const [only] = patterns;
  if (patterns.length === 1 && only !== undefined) {
    return (value) => matchesPattern(only, value);
  }
  const exact = new Set<string>();
  const others: PathPattern[] = [];
  for (const pattern of patterns) {
    if (pattern.kind === 'exact' && patterns.length >= SET_FROM) {
      exact.add(pattern.value);
    } else {
      others.push(pattern);
    }
  }
  return (value) => {
    if (exact.has(value)) {
      return true;
    }
    for (const pattern of others) {
      if (matchesPattern(pattern, value)) {
        return true;
      }
    }
    return false;
  };
}
