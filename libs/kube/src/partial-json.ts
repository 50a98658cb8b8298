/**
 * Strings from the beginning of a JSON text whose end is missing.
 *
 * An object that is too large to read still has a name, and the name must be known: its last good
 * version stays, and the person who wrote it is told.
 */

/** Values of the wanted dotted paths that are complete strings in `text`. Array elements have the path segment `[]`. */
export function stringsOf(text: string, wanted: ReadonlySet<string>): Map<string, string> {
  const found = new Map<string, string>();
  const path: string[] = [];
  let key = '';
  let isKey = false;
  const inArray: boolean[] = [];
  const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]/y;
  const skip = /[^"{}[\]:,]*/y;
  for (let at = 0; at < text.length; ) {
    skip.lastIndex = at;
    skip.exec(text);
    token.lastIndex = skip.lastIndex;
    const match = token.exec(text)?.[0];
    if (match === undefined) {
      break;
    }
    at = token.lastIndex;
    if (match === '{' || match === '[') {
      path.push(inArray.at(-1) === true ? '[]' : key);
      inArray.push(match === '[');
      isKey = match === '{';
    } else if (match === '}' || match === ']') {
      path.pop();
      inArray.pop();
      isKey = false;
    } else if (match === ',') {
      isKey = inArray.at(-1) === false;
    } else if (match === ':') {
      isKey = false;
    } else if (isKey) {
      key = unquote(match) ?? '';
    } else {
      note(found, wanted, { path, key: inArray.at(-1) === true ? '[]' : key, quoted: match });
    }
  }
  return found;
}

interface FoundString {
  readonly path: readonly string[];
  readonly key: string;
  readonly quoted: string;
}

function note(
  found: Map<string, string>,
  wanted: ReadonlySet<string>,
  { path, key, quoted }: FoundString,
): void {
  // The first segment is the root's, which has no key.
  const name = [...path.slice(1), key].join('.');
  const value = wanted.has(name) ? unquote(quoted) : undefined;
  if (value !== undefined) {
    found.set(name, value);
  }
}

function unquote(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    // A bad escape: this string has no value.
    return undefined;
  }
}
