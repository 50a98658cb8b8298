/**
 * What a route makes of path, authority and Location. The query is kept, except where a redirect
 * brings its own.
 */

import type { HttpRequestView } from './request.ts';
import type { PathChange, RedirectAction } from './route-table.ts';
import { hasSegmentPrefix, trimTrailingSlash } from './string-match.ts';

/** The new path, without query. A path that does not carry the prefix is left alone. */
export function rewritePath(path: string, change: PathChange | undefined): string {
  switch (change?.kind) {
    case undefined:
      return path;
    case 'full':
      return change.value;
    case 'regex':
      return change.regex.replaceAll(path, change.rewrite);
    case 'prefix':
      return change.bySegment
        ? replaceSegments(path, change.prefix, change.value)
        : replacePlainPrefix(path, change.prefix, change.value);
  }
}

/** Where a backend's server would leave the path that was judged. */
const DOT_SEGMENT = /\/\.{1,2}(?:[/?]|$)/;

/**
 * The path that goes upstream, without query. `isClear` is false for one that a rewrite has made no path, or one that servers resolve
 * to another: `/v1` rewritten to `/` makes `/../admin` of `/v1../admin`. Such a request is refused.
 */
export function pathToSend(
  path: string,
  change: PathChange,
): { readonly path: string; readonly isClear: boolean } {
  const sent = rewritePath(path, change) || '/';
  return {
    path: sent,
    isClear: sent === path || (sent.startsWith('/') && !DOT_SEGMENT.test(sent)),
  };
}

/** `path?query` as it goes upstream. */
export function joinQuery(path: string, query: string): string {
  return query === '' ? path : `${path}?${query}`;
}

/** The `Location` of a redirect. Ports 80 of http and 443 of https are never printed. */
export function redirectLocation(redirect: RedirectAction, request: HttpRequestView): string {
  const scheme = (redirect.scheme ?? request.scheme).toLowerCase();
  const from = splitPort(request.authority);
  const to = redirect.authority === undefined ? undefined : splitPort(redirect.authority);
  const port = redirectPort(redirect, { from: from.port, to: to?.port, request });
  const isKnown = port === undefined || port === WELL_KNOWN_PORTS.get(scheme);
  const host = to?.host ?? from.host;
  const path = rewritePath(request.path, redirect.path);
  const target = path.includes('?') ? path : joinQuery(path, request.query);
  return `${scheme}://${host}${isKnown ? '' : `:${port}`}${target}`;
}

const WELL_KNOWN_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
]);

interface RedirectPorts {
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly request: HttpRequestView;
}

function redirectPort(
  redirect: RedirectAction,
  { from, to, request }: RedirectPorts,
): number | undefined {
  if (typeof redirect.port === 'number') return redirect.port;
  if (to !== undefined) return to;
  switch (redirect.port) {
    case 'protocol':
      return undefined;
    case 'request':
      return from ?? request.port;
    case 'drop-default': {
      if (redirect.authority !== undefined) return undefined;
      const isDefault = from === WELL_KNOWN_PORTS.get(request.scheme);
      return isDefault ? undefined : from;
    }
  }
}

function splitPort(authority: string): { readonly host: string; readonly port?: number } {
  const match = /^(.*):(\d{1,5})$/.exec(authority);
  if (match === null || (authority.startsWith('[') && authority.endsWith(']'))) {
    return { host: authority };
  }
  return { host: match[1] ?? '', port: Number(match[2]) };
}

/** `/foo` → `/` on `/foo/bar` is `/bar`; one slash is kept everywhere. */
function replaceSegments(path: string, prefix: string, value: string): string {
  if (!hasSegmentPrefix(path, prefix)) return path;
  const rest = path.slice(trimTrailingSlash(prefix).length);
  const replaced = trimTrailingSlash(value) + rest;
  return replaced === '' ? '/' : replaced;
}

function replacePlainPrefix(path: string, prefix: string, value: string): string {
  const hasPrefix = path.toLowerCase().startsWith(prefix.toLowerCase());
  return hasPrefix ? value + path.slice(prefix.length) : path;
}
