/**
 * The one form of HTTP routes that VirtualService and HTTPRoute compile into.
 *
 * A table belongs to one service as frontend. Rules stand in the order in which they are tried; each
 * carries where it was written, so that whoever asks gets the object, the rule and the match.
 */
import type { CompiledRegex, CorsPolicy, HttpFault, ObjectKey } from '@ambit/api';
import type { PathKey } from '@ambit/policy';
import type { HeaderOperation } from './header-operations.ts';
import type { HttpRequestView } from './request.ts';
import type { RetryPolicy } from './retry.ts';

/** Where traffic goes: host (complete), subset and service port. Resolved by `resolveCluster`. */
export interface ClusterRef {
  readonly host: string;
  readonly subset?: string;
  readonly port: number;
}

/** Where a rule was written. `path` is the dotted path in the object: `spec.http[0].match[1]`. */
export interface RouteOrigin {
  readonly object: ObjectKey;
  readonly path: string;
}

export interface HttpHeaderOperations {
  readonly request: readonly HeaderOperation[];
  readonly response: readonly HeaderOperation[];
}

export interface WeightedCluster {
  readonly weight: number;
  /** `invalid`: this share is answered with the status (a backend that does not exist or may not be used). */
  readonly target:
    | { readonly kind: 'cluster'; readonly cluster: ClusterRef }
    | {
        readonly kind: 'invalid';
        readonly status: 500 | 503;
        readonly flag: 'NC' | '-';
        readonly text: string;
      };
  readonly headers: HttpHeaderOperations;
  /** `host` set among this destination's headers. */
  readonly authority?: string;
}

export type PathChange =
  | { readonly kind: 'full'; readonly value: string }
  /** `bySegment`: Gateway API's prefix, where slashes between the parts are kept to one. */
  | {
      readonly kind: 'prefix';
      readonly prefix: string;
      readonly value: string;
      readonly bySegment: boolean;
    }
  | { readonly kind: 'regex'; readonly regex: CompiledRegex; readonly rewrite: string };

export interface HttpMirrorTarget {
  readonly cluster: ClusterRef;
  /** 0..100 */
  readonly percentage: number;
}

export interface RouteAction {
  readonly kind: 'route';
  /** Not empty; weights add up to more than 0. */
  readonly clusters: readonly WeightedCluster[];
  readonly path?: PathChange;
  readonly authority?: string;
  /** 0: none, said so. Absent: the route says nothing (`requestSettings`). */
  readonly timeoutMs?: number;
  /** Absent: the route says nothing. */
  readonly retry?: RetryPolicy;
  readonly fault?: HttpFault;
  readonly mirrors: readonly HttpMirrorTarget[];
  /** As written; whoever serves it decides what to do with it. */
  readonly cors?: CorsPolicy;
}

export interface RedirectAction {
  readonly kind: 'redirect';
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly scheme?: string;
  /** May carry a port of its own. */
  readonly authority?: string;
  /**
   * `drop-default`: gone where it is the known port of either scheme · `protocol`: that of the scheme,
   * so never shown · `request`: that of the request.
   */
  readonly port: number | 'drop-default' | 'protocol' | 'request';
  readonly path?: PathChange;
}

export interface DirectResponseAction {
  readonly kind: 'direct-response';
  readonly status: number;
  readonly body: Uint8Array;
}

export type HttpAction = RouteAction | RedirectAction | DirectResponseAction;

export interface HttpRouteRuleEntry {
  /** As metrics and logs show it. */
  readonly name: string;
  readonly origin: RouteOrigin;
  /** Empty: every port of the service. */
  readonly ports: readonly number[];
  /** Namespaces whose callers meet the rule; absent: all. */
  readonly visibleTo?: ReadonlySet<string>;
  readonly matches: (request: HttpRequestView) => boolean;
  /** It matches no path that this does not fit. Undefined: any may match. */
  readonly path: PathKey | undefined;
  /** What the match asks, for people: `path prefix "/v2", header x = "1"`. */
  readonly conditions: string;
  readonly action: HttpAction;
  /** Rule-level operations; a destination's own run before these. */
  readonly headers: HttpHeaderOperations;
}

export interface HttpRouteGroup {
  readonly rules: readonly HttpRouteRuleEntry[];
  /** Ports that the group's routes attach to; `all`: every port. */
  readonly ports: ReadonlySet<number> | 'all';
}

export interface HttpRouteTable {
  readonly service: { readonly namespace: string; readonly hostname: string };
  /** Routes of other namespaces, for callers of that namespace. Before everything else. */
  readonly consumers: ReadonlyMap<string, HttpRouteGroup>;
  /** Routes of the service's own namespace. */
  readonly producer?: HttpRouteGroup;
  /** VirtualServices; only where no HTTPRoute attaches. */
  readonly virtualServices?: HttpRouteGroup;
}

export const NO_HEADER_OPERATIONS: HttpHeaderOperations = { request: [], response: [] };
