/**
 * Which rule a request meets. Conditions are tried in order, the first that holds wins; when routes
 * exist and none holds the answer is 404, flag NR. Without any route the service itself is the cluster.
 */
import { PathIndex } from '@ambit/policy';
import { actionAtPort } from './addressed-port.ts';
import type { HttpRequestView } from './request.ts';
import type {
  ClusterRef,
  DirectResponseAction,
  HttpHeaderOperations,
  HttpRouteGroup,
  HttpRouteRuleEntry,
  HttpRouteTable,
  RedirectAction,
  RouteAction,
} from './route-table.ts';
import { NO_HEADER_OPERATIONS } from './route-table.ts';

export interface MatchedRule {
  /** For metrics and logs; `default` when no route object is involved. */
  readonly routeName: string;
  /** Absent for the default route. */
  readonly rule?: HttpRouteRuleEntry;
  readonly headers: HttpHeaderOperations;
}

export type RouteDecision =
  | ({ readonly kind: 'route'; readonly action: RouteAction } & MatchedRule)
  | ({ readonly kind: 'redirect'; readonly action: RedirectAction } & MatchedRule)
  | ({ readonly kind: 'direct-response'; readonly action: DirectResponseAction } & MatchedRule)
  | {
      readonly kind: 'no-route';
      readonly status: 404;
      readonly flag: 'NR';
      /** Rules that were tried, in order. */
      readonly tried: readonly HttpRouteRuleEntry[];
    };

export function matchHttp(table: HttpRouteTable, request: HttpRequestView): RouteDecision {
  const group = selectGroup(table, request);
  if (group === undefined) return defaultRoute(table, request);
  const rule = firstRule(group, request);
  if (rule === undefined) return noRoute(table, group, request);
  const { name: routeName, headers, action } = rule;
  switch (action.kind) {
    case 'route':
      return {
        kind: 'route',
        action: actionAtPort(action, request.port),
        routeName,
        rule,
        headers,
      };
    case 'redirect':
      return { kind: 'redirect', action, routeName, rule, headers };
    case 'direct-response':
      return { kind: 'direct-response', action, routeName, rule, headers };
  }
}

const indexes = new WeakMap<HttpRouteGroup, PathIndex>();

/** Of those that the path can meet, in order: the first that matches. Each request comes by here. */
function firstRule(
  group: HttpRouteGroup,
  request: HttpRequestView,
): HttpRouteRuleEntry | undefined {
  let index = indexes.get(group);
  if (index === undefined) {
    index = new PathIndex(group.rules.map(({ path }) => path && [path]));
    indexes.set(group, index);
  }
  for (const position of index.candidates(request.path)) {
    const entry = group.rules[position];
    if (entry !== undefined && concerns(entry, request) && entry.matches(request)) return entry;
  }
  return undefined;
}

/** The routes that the caller meets on this port: its own, else the producer's, else VirtualServices. */
export function selectGroup(
  table: HttpRouteTable,
  request: Pick<HttpRequestView, 'port' | 'source'>,
): HttpRouteGroup | undefined {
  const { namespace } = request.source;
  const consumer = namespace === undefined ? undefined : table.consumers.get(namespace);
  if (servesPort(consumer, request.port)) return consumer;
  if (servesPort(table.producer, request.port)) return table.producer;
  return servesPort(table.virtualServices, request.port) ? table.virtualServices : undefined;
}

function servesPort(group: HttpRouteGroup | undefined, port: number): boolean {
  return group !== undefined && (group.ports === 'all' || group.ports.has(port));
}

/** Whether the entry is there for this port and this caller at all. */
function concerns(entry: HttpRouteRuleEntry, { port, source }: HttpRequestView): boolean {
  if (entry.ports.length > 0 && !entry.ports.includes(port)) return false;
  const { visibleTo } = entry;
  if (visibleTo === undefined) return true;
  return source.namespace !== undefined && visibleTo.has(source.namespace);
}

/** Routes that the caller does not see leave the service as it is without routes. */
function noRoute(
  table: HttpRouteTable,
  group: HttpRouteGroup,
  request: HttpRequestView,
): RouteDecision {
  const tried = group.rules.filter((entry) => concerns(entry, request));
  const isHidden =
    tried.length === 0 && group.rules.some(({ visibleTo }) => visibleTo !== undefined);
  if (isHidden) return defaultRoute(table, request);
  return { kind: 'no-route', status: 404, flag: 'NR', tried };
}

const defaults = new WeakMap<HttpRouteTable, Map<number, RouteDecision>>();

/** The same object for a table and port, so that what is made of its cluster can be kept. */
function defaultRoute(table: HttpRouteTable, { port }: HttpRequestView): RouteDecision {
  let byPort = defaults.get(table);
  if (byPort === undefined) {
    byPort = new Map();
    defaults.set(table, byPort);
  }
  let decision = byPort.get(port);
  if (decision === undefined) {
    decision = makeDefault({ host: table.service.hostname, port });
    byPort.set(port, decision);
  }
  return decision;
}

function makeDefault(cluster: ClusterRef): RouteDecision {
  return {
    kind: 'route',
    routeName: 'default',
    headers: NO_HEADER_OPERATIONS,
    action: {
      kind: 'route',
      clusters: [
        { weight: 100, target: { kind: 'cluster', cluster }, headers: NO_HEADER_OPERATIONS },
      ],
      mirrors: [],
    },
  };
}
