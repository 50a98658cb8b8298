/**
 * StringMatch as a predicate: compiled once, asked for each request.
 *
 * Prefixes are plain text prefixes; a regex must match the whole value (RE2). A pattern that does not
 * compile matches nothing: validation refuses it before, and a match must not become wider by a fault.
 */
import type { StringMatch } from '@ambit/api';
import { compileRegex } from '@ambit/api';
import { judgedValue, octetsOf } from '@ambit/policy';

/** `undefined`: the value is absent. */
export type ValuePredicate = (value: string | undefined) => boolean;

/** Present-only, prefix, exact or regex; an absent value matches nothing. */
export function compileStringMatch(
  match: StringMatch,
  options: { readonly ignoreCase?: boolean } = {},
): ValuePredicate {
  if ('present' in match) return (value) => value !== undefined;
  if ('regex' in match) return compileRegexMatch(match.regex);
  const ignoreCase = options.ignoreCase === true;
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
  if ('exact' in match) {
    const exact = fold(match.exact);
    return (value) => value !== undefined && fold(value) === exact;
  }
  const prefix = fold(match.prefix);
  return (value) => value !== undefined && fold(value).startsWith(prefix);
}

/**
 * The same for the value of a header, which has one character for each byte that was sent, while what people write is sent in UTF-8.
 * A regex is about text: a value that is no UTF-8 matches none, as with RE2. `name` in lower case.
 */
export function compileFieldMatch(match: StringMatch, name: string): ValuePredicate {
  const sent = (text: string) => octetsOf(judgedValue(name, text));
  if ('exact' in match) return compileStringMatch({ exact: sent(match.exact) });
  if ('prefix' in match) return compileStringMatch({ prefix: sent(match.prefix) });
  const test = compileStringMatch(match);
  if ('present' in match || match.regex === '*') return test;
  return (value) => {
    const text = value === undefined ? undefined : textOf(value);
    return text !== undefined && test(text);
  };
}

const NOT_ASCII = /[\x80-\xff]/;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(octets: string): string | undefined {
  if (!NOT_ASCII.test(octets)) return octets;
  try {
    return UTF8.decode(Uint8Array.from(octets, (octet) => octet.charCodeAt(0)));
  } catch {
    // It is no UTF-8, which is all that is asked.
    return undefined;
  }
}

/** `regex: '*'` means presence, as people write it. */
export function compileRegexMatch(pattern: string): ValuePredicate {
  if (pattern === '*') return (value) => value !== undefined;
  const compiled = compileRegex(pattern);
  if (compiled.kind === 'error') return () => false;
  const { regex } = compiled;
  return (value) => value !== undefined && regex.matches(value);
}

/**
 * The inverted match of `withoutHeaders`: an absent header counts as the empty string, except for
 * presence, where the header must be absent.
 */
export function compileWithout(match: StringMatch, name: string): ValuePredicate {
  if ('present' in match || ('regex' in match && match.regex === '*')) {
    return (value) => value === undefined;
  }
  const positive = compileFieldMatch(match, name);
  return (value) => !positive(value ?? '');
}

/** A path prefix by whole segments: `/v2` covers `/v2`, `/v2/` and `/v2/x`, not `/v2example`. */
export function hasSegmentPrefix(path: string, prefix: string): boolean {
  const bare = trimTrailingSlash(prefix);
  return path.startsWith(bare) && (path.length === bare.length || path[bare.length] === '/');
}

export function trimTrailingSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}
