/**
 * Comma-separated values (RFC 9110 §5.6.1), in linear time whatever they are.
 *
 * Not by a regular expression: `[ \t]*,` tries every white space of a long run once for each before it, and a header may be
 * sixty thousand of them.
 */
import { HTAB, SP } from '../scan/chars.ts';

/** The elements without white space around them; empty ones are kept. */
export function listElements(value: string): string[] {
  return value.split(',').map(trimSpace);
}

/** Without spaces and tabs at both ends. `String.trim` takes away more: a byte of 0xa0 is not white space in HTTP. */
function trimSpace(text: string): string {
  let begin = 0;
  let end = text.length;
  while (begin < end && isSpace(text.charCodeAt(begin))) {
    begin += 1;
  }
  while (end > begin && isSpace(text.charCodeAt(end - 1))) {
    end -= 1;
  }
  return begin === 0 && end === text.length ? text : text.slice(begin, end);
}

function isSpace(char: number): boolean {
  return char === SP || char === HTAB;
}
