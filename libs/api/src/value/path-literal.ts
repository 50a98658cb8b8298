/**
 * Paths that people write, and parts of them, in the one spelling in which requests are judged: escapes of unreserved characters mean the
 * character, others are in upper case (RFC 3986 §6.2.2). Whatever else requests lose on their way cannot be meant.
 */

/** What of a path it is: all of it, its begin or its end. */
export type PathPart = 'whole' | 'prefix' | 'suffix';

export interface PathProblem {
  readonly message: string;
  readonly allowed?: string;
  /** As it is to be written. */
  readonly instead?: string;
}

const ESCAPE = /%([0-9a-f]{2})/gi;
const UNRESERVED = /[A-Za-z0-9\-._~]/;
const BROKEN_ESCAPE = /%(?![0-9a-f]{2})/i;
const HALF_ESCAPE = /%[0-9a-f]?$/i;
const DOT_SEGMENT = /\/\.{1,2}(?=\/|$)/;

/** The text in its one spelling. A half escape at one of its ends stays. */
export function normalPathText(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(ESCAPE, (octet, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    return UNRESERVED.test(char) ? char : octet.toUpperCase();
  });
}

/** The same for what paths begin with, which may end within an escape: `/caf%c`. */
export function normalPathPrefix(text: string): string {
  return normalPathText(text).replace(/%[a-f]$/, (half) => half.toUpperCase());
}

/** Why no request has such a path; undefined: some can. A query is not looked at. */
export function pathTextProblem(written: string, part: PathPart): PathProblem | undefined {
  const text = normalPathText(written);
  // A prefix may end within an escape or a segment.
  const [whole, known] =
    part === 'prefix'
      ? [written.replace(HALF_ESCAPE, ''), text.replace(HALF_ESCAPE, '').replace(/\/\.{1,2}$/, '')]
      : [written, text];
  if (/[^!-~]|#/.test(text)) {
    return {
      message: 'never matches: a path in a request is ASCII without blanks and #',
      allowed: 'others in percent-encoding',
      instead: percentEncoded(text),
    };
  }
  if (text.includes('%00')) return { message: 'never matches: an escaped NUL is refused' };
  // As it is written: in %%61a no escape is left once it is read.
  if (BROKEN_ESCAPE.test(whole)) {
    return { message: 'never matches: has a % without two hex digits', allowed: '%25 for a %' };
  }
  if (text.includes('\\') || DOT_SEGMENT.test(known)) {
    return {
      message: 'never matches: \\ is / in a path, and . and .. segments are resolved',
      instead: resolved(text),
    };
  }
  if (part !== 'suffix' && !text.startsWith('/')) {
    return { message: 'never matches: a path begins with /', instead: `/${text}` };
  }
  return undefined;
}

/** What no path can have, in UTF-8 and percent-encoding; what is so already stays. */
export function percentEncoded(path: string): string {
  return path.toWellFormed().replace(/[^!"$-~]/gu, encodeURIComponent);
}

/** RFC 3986 §5.2.4. */
function resolved(text: string): string {
  const kept: string[] = [];
  const segments = text.replaceAll('\\', '/').split('/');
  for (const [index, segment] of segments.entries()) {
    if (segment === '..' && kept.length > 1) kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (index === segments.length - 1) kept.push('');
  }
  return kept.join('/');
}
