/** RFC 7541 Appendix A. Index 0 is no entry. */

const ENTRIES: readonly (readonly [string, string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
];

/** The dynamic table begins here (§2.3.3). */
export const STATIC_ENTRIES = ENTRIES.length;

const NAMES: readonly string[] = ['', ...ENTRIES.map(([name]) => name)];
const VALUES: readonly string[] = ['', ...ENTRIES.map(([, value]) => value)];

/** `index` is 1 to 61. */
export function staticName(index: number): string {
  return NAMES[index] ?? '';
}

export function staticValue(index: number): string {
  return VALUES[index] ?? '';
}

export interface StaticName {
  /** Of the name's first entry. */
  readonly index: number;
  /** Of its entries, which follow each other; empty where the table has a name alone. */
  readonly values: readonly string[];
}

function byName(): ReadonlyMap<string, StaticName> {
  const found = new Map<string, { index: number; values: string[] }>();
  for (const [offset, [name, value]] of ENTRIES.entries()) {
    const known = found.get(name);
    if (known === undefined) {
      found.set(name, { index: offset + 1, values: value === '' ? [] : [value] });
    } else {
      known.values.push(value);
    }
  }
  return found;
}

export const STATIC_NAMES: ReadonlyMap<string, StaticName> = byName();
