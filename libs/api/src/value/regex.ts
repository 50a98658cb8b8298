/**
 * Regular expressions that people write: RE2, linear time, the whole value must match.
 *
 * Nothing else may compile a user's pattern; JavaScript's RegExp backtracks and can stall a proxy.
 */
import { RE2JS } from 're2js';

/** Characters of a pattern (semantics: StringMatch). */
export const REGEX_LENGTH_MAX = 1024;
/** Instructions of a compiled program; a pattern of repeats grows far beyond its own length. */
export const REGEX_PROGRAM_MAX = 10_000;

/**
 * Instructions of all patterns of one object together, each as often as it is compiled: about half a
 * second. Thousands of patterns that are each allowed would hold up whoever reads the object.
 */
export const REGEX_STEPS_PER_OBJECT_MAX = 1_000_000;

let stepsLeft = Number.POSITIVE_INFINITY;

/** Runs `read`, which compiles the patterns of one object, within that object's budget. Not for promises. */
export function withRegexBudget<T>(read: () => T): T {
  const before = stepsLeft;
  stepsLeft = REGEX_STEPS_PER_OBJECT_MAX;
  try {
    return read();
  } finally {
    stepsLeft = before;
  }
}

const BUDGET_SPENT =
  'the regular expressions of the object are too many or too large together; split the object';
const TOO_LARGE = `the regular expression compiles to more than ${REGEX_PROGRAM_MAX} steps`;

export interface CompiledRegex {
  readonly pattern: string;
  /** True if the whole of `text` matches. */
  readonly matches: (text: string) => boolean;
  /** Replaces every occurrence; `\0`…`\9` in `rewrite` are groups. */
  readonly replaceAll: (text: string, rewrite: string) => string;
}

export type RegexResult =
  | { readonly kind: 'ok'; readonly regex: CompiledRegex }
  | { readonly kind: 'error'; readonly message: string };

/** Compiles `pattern`; the error's message is a clause for people. */
export function compileRegex(pattern: string): RegexResult {
  if (pattern === '') return { kind: 'error', message: 'the regular expression is empty' };
  if (pattern.length > REGEX_LENGTH_MAX) {
    return {
      kind: 'error',
      message: `the regular expression is longer than ${REGEX_LENGTH_MAX} characters`,
    };
  }
  if (stepsLeft <= 0) return { kind: 'error', message: BUDGET_SPENT };
  if (repeatsOf(pattern) > REGEX_PROGRAM_MAX) return { kind: 'error', message: TOO_LARGE };
  try {
    const program = RE2JS.compile(pattern);
    stepsLeft -= program.programSize();
    if (program.programSize() > REGEX_PROGRAM_MAX) {
      return { kind: 'error', message: TOO_LARGE };
    }
    return {
      kind: 'ok',
      regex: {
        pattern,
        matches: (text) => program.testExact(text),
        replaceAll: (text, rewrite) => program.matcher(text).replaceAll(replacerOf(rewrite)),
      },
    };
  } catch (error) {
    const reason =
      error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error);
    return { kind: 'error', message: `RE2 does not accept the regular expression: ${reason}` };
  }
}

/**
 * RE2's `\N` as a function of match and groups. As a function, because text would be read for `$`
 * too. A group that the pattern does not have, or that took no part, is empty.
 */
function replacerOf(rewrite: string): (...captures: readonly unknown[]) => string {
  const parts = rewrite.split(/\\([0-9\\])/);
  return (...captures) =>
    parts.map((part, index) => (index % 2 === 0 ? part : captureOf(part, captures))).join('');
}

/** After match and groups, re2js passes the offset (a number) and the whole text. */
function captureOf(token: string, captures: readonly unknown[]): string {
  if (token === '\\') return token;
  const index = Number(token);
  const capture = index < captures.length - 2 ? captures[index] : undefined;
  return typeof capture === 'string' ? capture : '';
}

/** How often things are repeated, at least: known without the cost of compiling them so often. */
function repeatsOf(pattern: string): number {
  let total = 0;
  for (const [, least, most] of pattern.matchAll(/\{(\d{1,4})(?:,(\d{0,4}))?\}/g)) {
    total += Number(most || least);
  }
  return total;
}
