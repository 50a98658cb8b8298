/**
 * The path that policies and routes see, and that is forwarded: one spelling for each resource.
 *
 * What can be spelled in two ways can get around a rule, so a path that has no clear meaning is refused
 * rather than repaired (RFC 3986 §5.2.4, §6.2.2).
 */
export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';

export type NormalizedPath =
  | {
      readonly ok: true;
      /** Without query. */
      readonly path: string;
      /** With its `?`, or empty. Never changed. */
      readonly query: string;
    }
  | { readonly ok: false; readonly reason: string };

/** Longer targets are refused (the header limit is the usual bound; this one holds for any caller). */
const TARGET_CHARS_MAX = 64 * 1024;
const UNRESERVED = /[A-Za-z0-9\-._~]/;
/** Anything that gives a path a second spelling. */
const NEEDS_WORK = /[%\\]|\/\/|\/\.|^[^/]/;
const ESCAPED_NUL = /%00/;
/** Controls, space, DEL and everything that is not ASCII: never part of a request target. */
const NOT_ALLOWED = /[^\x21-\x7e]/;

/** `target`: origin-form (`/path?query`), or `*`. */
export function normalizePath(target: string, mode: PathNormalization = 'BASE'): NormalizedPath {
  if (target.length > TARGET_CHARS_MAX) {
    return { ok: false, reason: 'path is too long' };
  }
  const plainEnd = endOfPlainPath(target);
  if (plainEnd === target.length) {
    return { ok: true, path: target, query: '' };
  }
  if (NOT_ALLOWED.test(target)) {
    return { ok: false, reason: 'path contains a control character or a byte outside ASCII' };
  }
  if (target.includes('#')) {
    return { ok: false, reason: 'path contains a fragment' };
  }
  const question = target.indexOf('?');
  const raw = question === -1 ? target : target.slice(0, question);
  const query = question === -1 ? '' : target.slice(question);
  if (ESCAPED_NUL.test(raw)) {
    return { ok: false, reason: 'path contains an escaped NUL' };
  }
  if (raw === '*' && query === '') {
    return { ok: true, path: raw, query };
  }
  if (!raw.startsWith('/')) {
    return { ok: false, reason: 'path does not begin with a slash' };
  }
  if (mode === 'NONE' || !NEEDS_WORK.test(raw)) {
    return { ok: true, path: withUpperEscapes(raw), query };
  }
  const decoded = decodeUnreserved(raw, mode === 'DECODE_AND_MERGE_SLASHES');
  if (decoded === undefined) {
    return { ok: false, reason: 'path contains a malformed percent escape' };
  }
  const plain = removeDotSegments(decoded.replaceAll('\\', '/'));
  return { ok: true, path: mode === 'BASE' ? plain : plain.replace(/\/{2,}/g, '/'), query };
}

const SLASH = 0x2f;
const DOT = 0x2e;
/** Stand in a path without giving it a second spelling, wherever slashes and dots are looked at as well. */
const IS_PLAIN: readonly boolean[] = Array.from({ length: 128 }, (_, char) =>
  /[!-~]/.test(String.fromCharCode(char)) ? !/[#%?\\]/.test(String.fromCharCode(char)) : false,
);

/** How far it is surely a path that has one spelling; -1: not from its begin on. Most targets are so to their end. */
function endOfPlainPath(target: string): number {
  if (target.charCodeAt(0) !== SLASH) {
    return -1;
  }
  let before = SLASH;
  for (let at = 1; at < target.length; at += 1) {
    const char = target.charCodeAt(at);
    const isSecond = before === SLASH && (char === SLASH || char === DOT);
    if (IS_PLAIN[char] !== true || isSecond) {
      return at;
    }
    before = char;
  }
  return target.length;
}

/**
 * Percent-encoding in its one spelling (RFC 3986 §6.2.2.1), as requests are judged, whatever the mode. What people write of paths is
 * read by `normalPathText`.
 */
export function withUpperEscapes(path: string): string {
  return path.includes('%') ? path.replace(/%[0-9a-f]{2}/gi, (octet) => octet.toUpperCase()) : path;
}

/** Escapes of unreserved characters mean the character; those of slashes only when asked for. */
function decodeUnreserved(path: string, slashes: boolean): string | undefined {
  let malformed = false;
  const decoded = path.replace(/%(..?)?/gs, (escaped, hex: string | undefined) => {
    if (hex === undefined || !/^[0-9A-Fa-f]{2}$/.test(hex)) {
      malformed = true;
      return escaped;
    }
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    if (UNRESERVED.test(char)) {
      return char;
    }
    return slashes && (char === '/' || char === '\\') ? '/' : escaped.toUpperCase();
  });
  return malformed ? undefined : decoded;
}

/** RFC 3986 §5.2.4; `..` above the root stays at the root. */
function removeDotSegments(path: string): string {
  if (!path.includes('/.')) {
    return path;
  }
  const segments = path.slice(1).split('/');
  const kept: string[] = [];
  segments.forEach((segment, index) => {
    const isLast = index === segments.length - 1;
    if (segment === '..') {
      kept.pop();
    } else if (segment !== '.') {
      kept.push(segment);
      return;
    }
    if (isLast) {
      kept.push('');
    }
  });
  return `/${kept.join('/')}`;
}
