/** What routing sees of an HTTP request. Matching happens on this and never on anything rewritten. */

export interface HttpRequestView {
  readonly method: string;
  /** `http` or `https`. */
  readonly scheme: string;
  /** The Host as sent, with port if sent. */
  readonly authority: string;
  /** After normalisation, without query. */
  readonly path: string;
  /** Without the `?`; empty when there is none. */
  readonly query: string;
  /** By lower-case name; several values joined by `,`. */
  readonly header: (name: string) => string | undefined;
  /** The port of the service that was addressed. */
  readonly port: number;
  readonly source: HttpSource;
}

/** Who calls; what is not known matches no condition on it. */
export interface HttpSource {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ip: string;
}

const QUERY_PARAMS_MAX = 1000;

/** The first value of a key, decoded (`+` is a space); `undefined` when the key is absent. */
export function queryParam(query: string, name: string): string | undefined {
  let start = 0;
  for (let count = 0; start <= query.length && count < QUERY_PARAMS_MAX; count += 1) {
    const next = query.indexOf('&', start);
    const end = next < 0 ? query.length : next;
    const equals = query.indexOf('=', start);
    const keyEnd = equals < 0 || equals > end ? end : equals;
    if (keyEnd > start && decodeQuery(query.slice(start, keyEnd)) === name) {
      return keyEnd === end ? '' : decodeQuery(query.slice(keyEnd + 1, end));
    }
    start = end + 1;
  }
  return undefined;
}

function decodeQuery(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Not UTF-8 after decoding: compared as it was sent.
    return spaced;
  }
}
