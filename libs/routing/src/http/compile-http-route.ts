/**
 * HTTPRoutes of one namespace, bound to one service, into one list in order of precedence
 * (Gateway API: exact path, longest prefix, method, headers, query, oldest, name, order written).
 *
 * A regular expression for the path stands after every prefix but `/`, which would hide it.
 */
import type { HTTPRoute, HttpRouteFilter, HttpRouteMatch, HttpRouteRule } from '@ambit/api';
import { normalPathText, objectKey } from '@ambit/api';
import { compareAge } from '../objects.ts';
import type { RouteScope } from './compile.ts';
import { allHold, describeConditions, pathKeyOf, routeMatchConditions } from './condition.ts';
import { compileHeaderOperations, headerFilterOperations, hostOf } from './header-operations.ts';
import { isParent, type ReferenceContext, resolveBackend } from './references.ts';
import { compileRetry } from './retry.ts';
import type {
  HttpAction,
  HttpHeaderOperations,
  HttpRouteGroup,
  HttpRouteRuleEntry,
  PathChange,
  RedirectAction,
  RouteAction,
  WeightedCluster,
} from './route-table.ts';
import { trimTrailingSlash } from './string-match.ts';

/** An HTTPRoute, or another kind in its words. */
export interface RouteObject extends Pick<HTTPRoute, 'metadata' | 'spec'> {
  readonly kind: 'GRPCRoute' | 'HTTPRoute';
}

/** `undefined` when none of the routes is bound to the service. */
export function compileHttpRouteGroup(
  routes: readonly RouteObject[],
  scope: RouteScope,
): HttpRouteGroup | undefined {
  const entries: RankedEntry[] = [];
  const ports = new Set<number>();
  let isBound = false;
  let isEveryPort = false;
  for (const route of [...routes].sort(compareAge)) {
    const parents = route.spec.parentRefs.filter((parent) =>
      isParent(parent, route, scope.service),
    );
    if (parents.length === 0) continue;
    isBound = true;
    const own = parents.flatMap(({ port }) => (port === undefined ? [] : [port]));
    const routePorts = own.length === parents.length ? own : [];
    if (routePorts.length === 0) isEveryPort = true;
    for (const port of routePorts) ports.add(port);
    entries.push(...compileRoute(route, routePorts, scope));
  }
  if (!isBound) return undefined;
  const rules = entries.sort(compareRank).map(({ entry }) => entry);
  return { rules, ports: isEveryPort ? 'all' : ports };
}

interface RankedEntry {
  readonly entry: HttpRouteRuleEntry;
  readonly match: HttpRouteMatch;
}

const EVERYTHING: HttpRouteMatch = {
  path: { type: 'PathPrefix', value: '/' },
  headers: [],
  queryParams: [],
};

/** As requests are judged; see `normalizePath`. */
function inOneSpelling(match: HttpRouteMatch): HttpRouteMatch {
  const { path } = match;
  return path.type === 'RegularExpression'
    ? match
    : { ...match, path: { ...path, value: normalPathText(path.value) } };
}

function compileRoute(
  route: RouteObject,
  ports: readonly number[],
  scope: RouteScope,
): readonly RankedEntry[] {
  const { namespace, name } = route.metadata;
  const invalidStatus = route.kind === 'GRPCRoute' ? 503 : 500;
  return route.spec.rules.flatMap((rule, ruleIndex) => {
    const matches = rule.matches.length === 0 ? [EVERYTHING] : rule.matches;
    return matches.map(inOneSpelling).map((match, matchIndex): RankedEntry => {
      const conditions = routeMatchConditions(match);
      const path =
        rule.matches.length === 0
          ? `spec.rules[${ruleIndex}]`
          : `spec.rules[${ruleIndex}].matches[${matchIndex}]`;
      return {
        match,
        entry: {
          name: rule.name ?? `${namespace}.${name}.${ruleIndex}`,
          origin: { object: objectKey(route), path },
          ports,
          matches: allHold(conditions),
          path: pathKeyOf(conditions),
          conditions: describeConditions(conditions),
          action: compileAction(rule, match, { scope, namespace, invalidStatus }),
          headers: filterHeaders(rule.filters),
        },
      };
    });
  });
}

/** Negative: `a` is tried first. Equal entries keep the order of age, then as written. */
function compareRank(a: RankedEntry, b: RankedEntry): number {
  return (
    pathClass(b.match) - pathClass(a.match) ||
    pathLength(b.match) - pathLength(a.match) ||
    Number(b.match.method !== undefined) - Number(a.match.method !== undefined) ||
    b.match.headers.length - a.match.headers.length ||
    b.match.queryParams.length - a.match.queryParams.length
  );
}

function pathClass({ path }: HttpRouteMatch): number {
  if (path.type === 'Exact') return 3;
  if (path.type === 'RegularExpression') return 1;
  return pathLengthOfPrefix(path.value) === 0 ? 0 : 2;
}

function pathLength({ path }: HttpRouteMatch): number {
  return path.type === 'PathPrefix' ? pathLengthOfPrefix(path.value) : path.value.length;
}

function pathLengthOfPrefix(prefix: string): number {
  return trimTrailingSlash(prefix).length;
}

interface RuleContext extends ReferenceContext {
  /** For what goes to a backend that is not there: gRPC callers are to see UNAVAILABLE. */
  readonly invalidStatus: 500 | 503;
}

function compileAction(
  rule: HttpRouteRule,
  match: HttpRouteMatch,
  context: RuleContext,
): HttpAction {
  for (const filter of rule.filters) {
    if (filter.type === 'RequestRedirect') return compileRedirect(filter.requestRedirect, match);
  }
  const clusters = rule.backendRefs
    .filter(({ weight }) => weight > 0)
    .map((backend) => compileBackend(backend, context));
  const none: WeightedCluster = {
    weight: 1,
    target: {
      kind: 'invalid',
      status: context.invalidStatus,
      flag: '-',
      text: 'the rule has no backend',
    },
    headers: { request: [], response: [] },
  };
  const rewrite = rule.filters.find((filter) => filter.type === 'URLRewrite')?.urlRewrite;
  const path = rewrite?.path === undefined ? undefined : pathChange(rewrite.path, match);
  const host = filterHost(rule.filters);
  const authority = rewrite?.hostname ?? host;
  return {
    kind: 'route',
    clusters: clusters.length === 0 ? [none] : clusters,
    ...(path === undefined ? {} : { path }),
    ...(authority === undefined ? {} : { authority }),
    ...compileTimeouts(rule),
    mirrors: rule.filters.flatMap((filter) => compileMirror(filter, context)),
  };
}

/** `backendRequest` is the limit of one try; without retries it is one of the whole. */
function compileTimeouts(rule: HttpRouteRule): Pick<RouteAction, 'timeoutMs' | 'retry'> {
  const request = rule.timeouts?.requestMs;
  const backend = rule.timeouts?.backendRequestMs ?? 0;
  if (rule.retry === undefined) {
    const set = [request ?? 0, backend].filter((timeout) => timeout > 0);
    if (set.length > 0) return { timeoutMs: Math.min(...set) };
    return request === undefined ? {} : { timeoutMs: 0 };
  }
  const retry = compileRetry({
    attempts: Math.max(0, rule.retry.attempts),
    ...(backend === 0 ? {} : { perTryTimeoutMs: backend }),
    retryOn: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled'],
    retriableStatusCodes: rule.retry.codes,
    retryIgnorePreviousHosts: true,
    ...(rule.retry.backoffMs === undefined ? {} : { backoffMs: rule.retry.backoffMs }),
  });
  return { ...(request === undefined ? {} : { timeoutMs: request }), retry };
}

function compileBackend(
  backend: HttpRouteRule['backendRefs'][number],
  { scope, namespace, invalidStatus }: RuleContext,
): WeightedCluster {
  const headers = filterHeaders(backend.filters);
  const authority = filterHost(backend.filters);
  const common = {
    weight: backend.weight,
    headers,
    ...(authority === undefined ? {} : { authority }),
  };
  const found = resolveBackend(backend, { scope, namespace });
  return typeof found === 'string'
    ? { ...common, target: { kind: 'invalid', status: invalidStatus, flag: '-', text: found } }
    : { ...common, target: { kind: 'cluster', cluster: found } };
}

function compileMirror(filter: HttpRouteFilter, context: ReferenceContext): RouteAction['mirrors'] {
  if (filter.type !== 'RequestMirror') return [];
  const { backendRef, percentage } = filter.requestMirror;
  const cluster = resolveBackend(backendRef, context);
  // A mirror without backend has nobody to tell; the conditions of the route do.
  return typeof cluster === 'string' ? [] : [{ cluster, percentage }];
}

function compileRedirect(
  redirect: Extract<HttpRouteFilter, { type: 'RequestRedirect' }>['requestRedirect'],
  match: HttpRouteMatch,
): RedirectAction {
  const path = redirect.path === undefined ? undefined : pathChange(redirect.path, match);
  return {
    kind: 'redirect',
    status: redirect.statusCode,
    ...(redirect.scheme === undefined ? {} : { scheme: redirect.scheme }),
    ...(redirect.hostname === undefined ? {} : { authority: redirect.hostname }),
    port: redirect.port ?? (redirect.scheme === undefined ? 'request' : 'protocol'),
    ...(path === undefined ? {} : { path }),
  };
}

function pathChange(
  path: { readonly type: 'ReplaceFullPath' | 'ReplacePrefixMatch'; readonly value: string },
  match: HttpRouteMatch,
): PathChange {
  if (path.type === 'ReplaceFullPath') return { kind: 'full', value: path.value };
  return { kind: 'prefix', prefix: match.path.value, value: path.value, bySegment: true };
}

function filterHeaders(filters: readonly HttpRouteFilter[]): HttpHeaderOperations {
  return {
    request: filters.flatMap((filter) =>
      filter.type === 'RequestHeaderModifier'
        ? compileHeaderOperations(headerFilterOperations(filter.requestHeaderModifier))
        : [],
    ),
    response: filters.flatMap((filter) =>
      filter.type === 'ResponseHeaderModifier'
        ? compileHeaderOperations(headerFilterOperations(filter.responseHeaderModifier))
        : [],
    ),
  };
}

function filterHost(filters: readonly HttpRouteFilter[]): string | undefined {
  for (const filter of filters) {
    if (filter.type !== 'RequestHeaderModifier') continue;
    const host = hostOf(headerFilterOperations(filter.requestHeaderModifier));
    if (host !== undefined) return host;
  }
  return undefined;
}
