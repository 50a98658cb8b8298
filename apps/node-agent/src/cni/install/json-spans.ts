/**
 * Where things are in a JSON text, so that a file of others can be changed without touching anything else in it.
 *
 * Only for texts that JSON.parse has accepted: nothing is checked again here.
 */

/** From the first character to behind the last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The value of a key of the outermost object; of several with one name the last, which is the one that counts. */
export function memberSpan(text: string, key: string): Span | undefined {
  const start = skipSpace(text, 0);
  if (text[start] !== '{') {
    return undefined;
  }
  let found: Span | undefined;
  let at = skipSpace(text, start + 1);
  while (text[at] === '"') {
    const name = valueSpan(text, at);
    const value = valueSpan(text, skipSpace(text, skipSpace(text, name.end) + 1));
    if (JSON.parse(text.slice(name.start, name.end)) === key) {
      found = value;
    }
    at = skipSpace(text, value.end);
    at = text[at] === ',' ? skipSpace(text, at + 1) : at;
  }
  return found;
}

/** The elements of an array. */
export function elementSpans(text: string, array: Span): readonly Span[] {
  const spans: Span[] = [];
  let at = skipSpace(text, array.start + 1);
  while (text[at] !== ']' && at < array.end) {
    const span = valueSpan(text, at);
    spans.push(span);
    at = skipSpace(text, span.end);
    at = text[at] === ',' ? skipSpace(text, at + 1) : at;
  }
  return spans;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && ' \t\r\n'.includes(text[at] ?? '')) {
    at += 1;
  }
  return at;
}

function valueSpan(text: string, start: number): Span {
  const first = text[start] ?? '';
  if (first === '"') {
    return { start, end: endOfString(text, start) };
  }
  if (first !== '{' && first !== '[') {
    let end = start;
    while (end < text.length && !' \t\r\n,]}'.includes(text[end] ?? '')) {
      end += 1;
    }
    return { start, end };
  }
  let depth = 0;
  let at = start;
  do {
    const character = text[at] ?? '';
    if (character === '"') {
      at = endOfString(text, at);
      continue;
    }
    depth += '{['.includes(character) ? 1 : 0;
    depth -= '}]'.includes(character) ? 1 : 0;
    at += 1;
  } while (depth > 0 && at < text.length);
  return { start, end: at };
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') {
    at += text[at] === '\\' ? 2 : 1;
  }
  return at + 1;
}
