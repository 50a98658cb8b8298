/**
 * VirtualServices of one host into rules in the order written, first match wins.
 *
 * The most specific host wins: objects with the exact host leave those with a wildcard aside. Objects
 * of one host are tried one after another, oldest first. Matching is by the service that was
 * addressed, never by the Host header.
 */
import type { HttpMatchRequest, HttpRouteDestination, HttpRule, VirtualService } from '@ambit/api';
import {
  compareHostSpecificity,
  completeHost,
  hostMatches,
  normalPathPrefix,
  normalPathText,
  objectKey,
} from '@ambit/api';
import { compareAge } from '../objects.ts';
import { exportedTo } from '../visibility.ts';
import { ADDRESSED_PORT } from './addressed-port.ts';
import type { RouteScope } from './compile.ts';
import { allHold, describeConditions, matchRequestConditions, pathKeyOf } from './condition.ts';
import { bodyBytes } from './direct-body.ts';
import { compileHeaderOperations, hostOf } from './header-operations.ts';
import { compilePathRegex } from './path-regex.ts';
import { compileRetry } from './retry.ts';
import type {
  ClusterRef,
  HttpAction,
  HttpRouteGroup,
  HttpRouteRuleEntry,
  PathChange,
  RedirectAction,
  RouteAction,
  WeightedCluster,
} from './route-table.ts';

/** In-mesh traffic, among `gateways`. */
export const MESH_GATEWAY = 'mesh';

/** `undefined` when no object has HTTP rules for the service in the mesh. */
export function compileVirtualServices(
  objects: readonly VirtualService[],
  scope: RouteScope,
): HttpRouteGroup | undefined {
  const rules: HttpRouteRuleEntry[] = [];
  let isBound = false;
  for (const object of selectVirtualServices(objects, scope)) {
    if (object.spec.http.length === 0) continue;
    const own = object.spec.http.flatMap((rule, index) =>
      compileRule(rule, { object, scope, path: `spec.http[${index}]` }),
    );
    if (own.length === 0) continue;
    isBound = true;
    rules.push(...own);
  }
  return isBound ? { rules, ports: 'all' } : undefined;
}

/** Those whose most specific host is the service's, oldest first. */
export function selectVirtualServices(
  objects: readonly VirtualService[],
  { service, clusterDomain }: Pick<RouteScope, 'service' | 'clusterDomain'>,
): readonly VirtualService[] {
  const candidates = objects.flatMap((object) => {
    const host = object.spec.hosts
      .map((written) => completeHost(written, object.metadata.namespace, clusterDomain))
      .filter((pattern) => hostMatches(pattern, service.hostname))
      .sort(compareHostSpecificity)[0];
    return host === undefined ? [] : [{ object, host }];
  });
  const best = candidates.map(({ host }) => host).sort(compareHostSpecificity)[0];
  return candidates
    .filter(({ host }) => host === best)
    .map(({ object }) => object)
    .sort(compareAge);
}

interface RuleContext {
  readonly object: VirtualService;
  readonly scope: RouteScope;
  readonly path: string;
}

/** One entry a match block; a rule of other gateways than the mesh has none. */
function compileRule(rule: HttpRule, context: RuleContext): readonly HttpRouteRuleEntry[] {
  const { object, path } = context;
  const isMesh = object.spec.gateways.includes(MESH_GATEWAY);
  const blocks = rule.match.flatMap((match, index) => {
    const inMesh = match.gateways.length === 0 ? isMesh : match.gateways.includes(MESH_GATEWAY);
    return inMesh ? [{ match: inOneSpelling(match), path: `${path}.match[${index}]` }] : [];
  });
  const all: { match?: HttpMatchRequest; path: string }[] =
    rule.match.length === 0 && isMesh ? [{ path }] : blocks;
  const visibleTo = exportedTo(object.spec.exportTo, object.metadata.namespace);
  return all.map(({ match, path: at }) => {
    const conditions = match === undefined ? [] : matchRequestConditions(match);
    return {
      name: [rule.name, match?.name].filter((part) => part !== undefined && part !== '').join('.'),
      origin: { object: objectKey(object), path: at },
      ports: [],
      ...(visibleTo === 'all' ? {} : { visibleTo }),
      matches: allHold(conditions),
      path: pathKeyOf(conditions),
      conditions: describeConditions(conditions),
      action: compileAction(rule, match, context),
      headers: {
        request: compileHeaderOperations(rule.headers?.request),
        response: compileHeaderOperations(rule.headers?.response),
      },
    };
  });
}

/** As requests are judged; see `normalizePath`. */
function inOneSpelling(match: HttpMatchRequest): HttpMatchRequest {
  const { uri } = match;
  if (uri === undefined) return match;
  if ('exact' in uri) return { ...match, uri: { exact: normalPathText(uri.exact) } };
  return 'prefix' in uri ? { ...match, uri: { prefix: normalPathPrefix(uri.prefix) } } : match;
}

function compileAction(
  rule: HttpRule,
  match: HttpMatchRequest | undefined,
  context: RuleContext,
): HttpAction {
  if (rule.redirect !== undefined) return compileRedirect(rule, match);
  if (rule.directResponse !== undefined) {
    const { status, body } = rule.directResponse;
    return { kind: 'direct-response', status, body: bodyBytes(body) };
  }
  const authority = rule.rewrite?.authority ?? hostOf(rule.headers?.request);
  const path = rewriteOf(rule, match);
  const { timeoutMs, retries, fault, corsPolicy } = rule;
  return {
    kind: 'route',
    clusters: compileDestinations(rule.route, context),
    ...(path === undefined ? {} : { path }),
    ...(authority === undefined ? {} : { authority }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(retries === undefined ? {} : { retry: compileRetry(retries) }),
    ...(fault === undefined ? {} : { fault }),
    mirrors: compileMirrors(rule, context),
    ...(corsPolicy === undefined ? {} : { cors: corsPolicy }),
  };
}

function compileMirrors(rule: HttpRule, context: RuleContext): RouteAction['mirrors'] {
  return rule.mirrors.flatMap(({ destination, percentage }) => {
    const cluster = resolveDestination(destination, context);
    // A mirror that does not exist has nobody to tell; the conditions of the object do.
    return typeof cluster === 'string' || percentage === 0 ? [] : [{ cluster, percentage }];
  });
}

/** Unknown hosts leave the split, unless nothing else is in it. */
function compileDestinations(
  route: readonly HttpRouteDestination[],
  context: RuleContext,
): readonly WeightedCluster[] {
  const compiled = route
    .filter(({ weight }) => route.length === 1 || weight > 0)
    .map((entry): WeightedCluster => {
      const found = resolveDestination(entry.destination, context);
      const authority = hostOf(entry.headers?.request);
      return {
        weight: route.length === 1 ? 100 : entry.weight,
        target:
          typeof found === 'string'
            ? { kind: 'invalid', status: 503, flag: 'NC', text: found }
            : { kind: 'cluster', cluster: found },
        headers: {
          request: compileHeaderOperations(entry.headers?.request),
          response: compileHeaderOperations(entry.headers?.response),
        },
        ...(authority === undefined ? {} : { authority }),
      };
    });
  const known = compiled.filter(({ target }) => target.kind === 'cluster');
  if (known.length > 0) return known;
  const text = 'the rule has no destination';
  return compiled.length > 0
    ? compiled
    : [
        {
          weight: 100,
          target: { kind: 'invalid', status: 503, flag: 'NC', text },
          headers: { request: [], response: [] },
        },
      ];
}

/** The cluster, or why there is none. */
export function resolveDestination(
  destination: HttpRouteDestination['destination'],
  { object, scope }: Pick<RuleContext, 'object' | 'scope'>,
): ClusterRef | string {
  const host = completeHost(destination.host, object.metadata.namespace, scope.clusterDomain);
  const ports = scope.portsOf(host);
  if (ports === undefined) return `destination "${host}" does not exist`;
  const only = ports.length === 1 ? ports[0] : undefined;
  const port = destination.port?.number ?? only ?? ADDRESSED_PORT;
  if (port !== ADDRESSED_PORT && !ports.includes(port)) {
    return `destination "${host}" has no port ${port}`;
  }
  return {
    host,
    port,
    ...(destination.subset === undefined ? {} : { subset: destination.subset }),
  };
}

function compileRedirect(rule: HttpRule, match: HttpMatchRequest | undefined): RedirectAction {
  const { redirect } = rule;
  const path = redirectPath(rule, match);
  return {
    kind: 'redirect',
    status: redirect?.redirectCode ?? 301,
    ...(redirect?.scheme === undefined ? {} : { scheme: redirect.scheme }),
    ...(redirect?.authority === undefined ? {} : { authority: redirect.authority }),
    port: redirect?.port ?? DERIVED_PORT[redirect?.derivePort ?? 'NONE'],
    ...(path === undefined ? {} : { path }),
  };
}

const DERIVED_PORT = {
  NONE: 'drop-default',
  FROM_PROTOCOL_DEFAULT: 'protocol',
  FROM_REQUEST_PORT: 'request',
} as const;

function redirectPath(
  { redirect }: HttpRule,
  match: HttpMatchRequest | undefined,
): PathChange | undefined {
  if (redirect?.uri !== undefined && redirect.uri !== '') {
    return { kind: 'full', value: redirect.uri };
  }
  const value = redirect?.prefixRewrite;
  if (value === undefined || value === '') return undefined;
  return { kind: 'prefix', prefix: prefixOf(match) ?? '/', value, bySegment: false };
}

/** A prefix replaces what it matched, a rule without `uri` matched `/`; anything else is replaced whole. */
function rewriteOf(rule: HttpRule, match: HttpMatchRequest | undefined): PathChange | undefined {
  const regexRewrite = rule.rewrite?.uriRegexRewrite;
  if (regexRewrite !== undefined) {
    const compiled = compilePathRegex(regexRewrite.match);
    if (compiled.kind === 'error') return undefined;
    return { kind: 'regex', regex: compiled.regex, rewrite: regexRewrite.rewrite };
  }
  const value = rule.rewrite?.uri;
  if (value === undefined || value === '') return undefined;
  const prefix = prefixOf(match);
  return prefix === undefined
    ? { kind: 'full', value }
    : { kind: 'prefix', prefix, value, bySegment: false };
}

function prefixOf(match: HttpMatchRequest | undefined): string | undefined {
  const uri = match?.uri;
  if (uri === undefined || 'present' in uri) return '/';
  return 'prefix' in uri ? uri.prefix : undefined;
}
