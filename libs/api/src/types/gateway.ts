/**
 * gateway.networking.k8s.io: Gateway (as waypoint) and its class, the routes, ReferenceGrant.
 *
 * Field names are those of Gateway API v1; durations are milliseconds after parsing.
 */
import type { ObjectBase } from './meta.ts';

export interface GatewayListener {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly hostname?: string;
  readonly allowedRoutes: {
    readonly namespaces: {
      readonly from: 'Same' | 'All' | 'Selector';
      readonly selector?: { readonly matchLabels: Readonly<Record<string, string>> };
    };
  };
}

/** What is to be on everything that is made for a Gateway. */
export interface GatewayInfrastructure {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** A ConfigMap with overlays, in the Gateway's namespace. */
  readonly parametersRef?: { readonly group: string; readonly kind: string; readonly name: string };
}

export interface Gateway extends ObjectBase<'Gateway'> {
  readonly spec: {
    readonly gatewayClassName: string;
    readonly listeners: readonly GatewayListener[];
    /** Not empty: an unmanaged waypoint at these addresses. */
    readonly addresses: readonly { readonly type: string; readonly value: string }[];
    readonly infrastructure?: GatewayInfrastructure;
  };
}

export interface ParentRef {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
  readonly sectionName?: string;
}

export interface BackendRef {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
  readonly weight: number;
}

export interface HttpHeaderFilter {
  readonly set: readonly { readonly name: string; readonly value: string }[];
  readonly add: readonly { readonly name: string; readonly value: string }[];
  readonly remove: readonly string[];
}

export interface HttpPathModifier {
  readonly type: 'ReplaceFullPath' | 'ReplacePrefixMatch';
  readonly value: string;
}

export type HttpRouteFilter =
  | { readonly type: 'RequestHeaderModifier'; readonly requestHeaderModifier: HttpHeaderFilter }
  | { readonly type: 'ResponseHeaderModifier'; readonly responseHeaderModifier: HttpHeaderFilter }
  | {
      readonly type: 'RequestRedirect';
      readonly requestRedirect: {
        readonly scheme?: string;
        readonly hostname?: string;
        readonly port?: number;
        readonly path?: HttpPathModifier;
        readonly statusCode: 301 | 302 | 303 | 307 | 308;
      };
    }
  | {
      readonly type: 'URLRewrite';
      readonly urlRewrite: { readonly hostname?: string; readonly path?: HttpPathModifier };
    }
  | {
      readonly type: 'RequestMirror';
      readonly requestMirror: { readonly backendRef: BackendRef; readonly percentage: number };
    };

export interface HttpRouteMatch {
  readonly path: {
    readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression';
    readonly value: string;
  };
  readonly headers: readonly {
    readonly type: 'Exact' | 'RegularExpression';
    readonly name: string;
    readonly value: string;
  }[];
  readonly queryParams: readonly {
    readonly type: 'Exact' | 'RegularExpression';
    readonly name: string;
    readonly value: string;
  }[];
  readonly method?: string;
}

export interface HttpRouteRule {
  readonly name?: string;
  readonly matches: readonly HttpRouteMatch[];
  readonly filters: readonly HttpRouteFilter[];
  readonly backendRefs: readonly (BackendRef & { readonly filters: readonly HttpRouteFilter[] })[];
  readonly timeouts?: { readonly requestMs?: number; readonly backendRequestMs?: number };
  readonly retry?: {
    readonly codes: readonly number[];
    readonly attempts: number;
    readonly backoffMs?: number;
  };
}

export interface HTTPRoute extends ObjectBase<'HTTPRoute'> {
  readonly spec: {
    readonly parentRefs: readonly ParentRef[];
    readonly hostnames: readonly string[];
    readonly rules: readonly HttpRouteRule[];
  };
}

export interface GrpcMethodMatch {
  readonly type: 'Exact' | 'RegularExpression';
  /** With its package: `shop.v1.Reviews`. */
  readonly service?: string;
  readonly method?: string;
}

export interface GrpcRouteMatch {
  /** Absent: every method. */
  readonly method?: GrpcMethodMatch;
  readonly headers: HttpRouteMatch['headers'];
}

export interface GrpcRouteRule extends Pick<HttpRouteRule, 'name' | 'filters' | 'backendRefs'> {
  readonly matches: readonly GrpcRouteMatch[];
}

export interface GRPCRoute extends ObjectBase<'GRPCRoute'> {
  readonly spec: {
    readonly parentRefs: readonly ParentRef[];
    readonly hostnames: readonly string[];
    readonly rules: readonly GrpcRouteRule[];
  };
}

export interface TCPRoute extends ObjectBase<'TCPRoute'> {
  readonly spec: {
    readonly parentRefs: readonly ParentRef[];
    readonly rules: readonly { readonly backendRefs: readonly BackendRef[] }[];
  };
}

export interface GatewayClass extends ObjectBase<'GatewayClass'> {
  readonly spec: {
    readonly controllerName: string;
    readonly description?: string;
    readonly parametersRef?: {
      readonly group: string;
      readonly kind: string;
      readonly name: string;
      readonly namespace?: string;
    };
  };
}

/** Objects of its namespace that others may refer to. */
export interface ReferenceGrant extends ObjectBase<'ReferenceGrant'> {
  readonly spec: {
    readonly from: readonly {
      readonly group: string;
      readonly kind: string;
      readonly namespace: string;
    }[];
    /** Without a name: all of the kind. */
    readonly to: readonly {
      readonly group: string;
      readonly kind: string;
      readonly name?: string;
    }[];
  };
}
