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
  try {
    const program = RE2JS.compile(pattern);
    if (program.programSize() > REGEX_PROGRAM_MAX) {
      return {
        kind: 'error',
        message: `the regular expression compiles to more than ${REGEX_PROGRAM_MAX} steps`,
      };
    }
    return {
      kind: 'ok',
      regex: {
        pattern,
        matches: (text) => program.testExact(text),
        replaceAll: (text, rewrite) =>
          program.matcher(text).replaceAll(replacementOf(rewrite, program.groupCount())),
      },
    };
  } catch (error) {
    const reason =
      error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error);
    return { kind: 'error', message: `RE2 does not accept the regular expression: ${reason}` };
  }
}

/** RE2's `\N` in re2js's `$N`; a group that the pattern does not have is empty, as in Envoy's check. */
function replacementOf(rewrite: string, groups: number): string {
  let text = '';
  for (let i = 0; i < rewrite.length; i += 1) {
    const char = rewrite[i] ?? '';
    const next = rewrite[i + 1] ?? '';
    if (char === '\\' && /^\d$/.test(next)) {
      if (Number(next) <= groups) text += `\${${next}}`;
      i += 1;
    } else if (char === '\\' && next === '\\') {
      text += '\\\\';
      i += 1;
    } else text += char === '$' || char === '\\' ? `\\${char}` : char;
  }
  return text;
}
