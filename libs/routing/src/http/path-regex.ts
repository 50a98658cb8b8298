/**
 * Regular expressions about paths. Paths are judged with percent-encoding in upper case, while people write it in either: a pattern
 * matches if it matches the path in one of the two spellings.
 */
import { type CompiledRegex, compileRegex, type RegexResult } from '@ambit/api';
import { withUpperEscapes } from '@ambit/policy';
import type { ValuePredicate } from './string-match.ts';

const UPPER_ESCAPE = /%(?:[A-F][0-9A-Fa-f]|[0-9a-f][A-F])/;
/**
 * The pieces of a pattern in which `%c3` can stand: quoted text, an escape, a class (where it is three characters) and the rest. A
 * percent sign that is escaped is one too.
 */
const PIECES = /\\Q.*?(?:\\E|$)|\\?%[0-9a-f]{2}|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]/gis;

/** `regex: '*'` means presence, as people write it. A pattern that does not compile matches nothing. */
export function compilePathMatch(pattern: string): ValuePredicate {
  if (pattern === '*') return (path) => path !== undefined;
  const compiled = compilePathRegex(pattern);
  if (compiled.kind === 'error') return () => false;
  const { regex } = compiled;
  return (path) => path !== undefined && regex.matches(path);
}

/** As `compileRegex`, for paths as they are judged. What a replacement leaves is in upper case again. */
export function compilePathRegex(pattern: string): RegexResult {
  const upper = compileRegex(inCase(pattern, withUpperEscapes));
  const lower = compileRegex(inCase(pattern, withLowerEscapes));
  if (upper.kind === 'error') return upper;
  return lower.kind === 'error'
    ? lower
    : { kind: 'ok', regex: either(pattern, upper.regex, lower.regex) };
}

function either(pattern: string, upper: CompiledRegex, lower: CompiledRegex): CompiledRegex {
  return {
    pattern,
    matches: (path) =>
      upper.matches(path) || (UPPER_ESCAPE.test(path) && lower.matches(withLowerEscapes(path))),
    replaceAll: (path, rewrite) => {
      const replaced = upper.replaceAll(path, rewrite);
      if (replaced !== path || !UPPER_ESCAPE.test(path)) return replaced;
      return withUpperEscapes(lower.replaceAll(withLowerEscapes(path), rewrite));
    },
  };
}

function inCase(pattern: string, fold: (text: string) => string): string {
  if (!pattern.includes('%')) return pattern;
  return pattern.replace(PIECES, (piece) =>
    piece.startsWith('\\Q') || /^\\?%./s.test(piece) ? fold(piece) : piece,
  );
}

function withLowerEscapes(path: string): string {
  return path.replace(/%[0-9A-F]{2}/gi, (octet) => octet.toLowerCase());
}
