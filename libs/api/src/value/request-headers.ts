/** Which fields of a request's head get past the first hop: what policies and routes judge, and servers get. */

/** Of one hop alone (RFC 9110 §7.6.1). */
export const HOP_BY_HOP_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Of them, what is written anew for the next hop: `connection: upgrade` and `upgrade: websocket`, or `te: trailers`. */
const WRITTEN_ANEW: ReadonlySet<string> = new Set(['connection', 'te', 'upgrade']);

/**
 * True for what only proxies write, for proxies. An underscore counts as a hyphen: servers that make variables of names (CGI, WSGI) read
 * both as the same. `name` in lower case.
 */
export function isProxyHeader(name: string): boolean {
  const folded = name.includes('_') ? name.replaceAll('_', '-') : name;
  return (
    folded === 'x-forwarded-client-cert' ||
    folded.startsWith('x-ambit-') ||
    folded.startsWith('x-envoy-')
  );
}

/** False for a field that is taken out before anybody judges the request, whatever its client sends. `name` in lower case. */
export function isJudgedHeader(name: string): boolean {
  return !isProxyHeader(name) && (!HOP_BY_HOP_HEADERS.has(name) || WRITTEN_ANEW.has(name));
}
