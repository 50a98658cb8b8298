/**
 * The message of a condition, with the findings that explain it: whoever has only kubectl reads what is wrong, where, what was
 * found, what is allowed and how to fix it.
 */
import { type Finding, formatFinding } from '@ambit/api';

/** Wanted, so that `kubectl describe` stays readable; the API itself takes 32 KiB. */
const CHARS_MAX = 1_024;
/** Kept for "and 12 more findings". */
const TAIL_CHARS = 32;
const LINE_CHARS_MIN = 100;
const ORDER: Readonly<Record<Finding['severity'], number>> = { error: 0, warning: 1, info: 2 };

/** Errors first, as many as fit; the rest is counted. */
export function textWithFindings(message: string, findings: readonly Finding[]): string {
  const room = CHARS_MAX - TAIL_CHARS;
  const sorted = findings.toSorted((a, b) => ORDER[a.severity] - ORDER[b.severity]);
  let text = shortened(message, room);
  for (const [index, finding] of sorted.entries()) {
    const line = formatFinding(finding);
    const left = room - text.length - 1;
    // The first is cut rather than left out, unless next to nothing would remain of it.
    const fits = line.length <= left || (index === 0 && left > LINE_CHARS_MIN);
    if (!fits) return `${text}\nand ${sorted.length - index} more findings`;
    text = `${text}\n${shortened(line, left)}`;
  }
  return text;
}

function shortened(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const cut = text.slice(0, charsMax - 1);
  // Half of a pair is no character, and the server refuses it.
  return `${/[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}
