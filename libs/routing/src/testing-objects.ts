/** Routing objects of literals for tests, with the defaults that parsing writes out. */
import type {
  DestinationRule,
  HTTPRoute,
  HttpMatchRequest,
  HttpRouteMatch,
  HttpRouteRule,
  HttpRule,
  ObjectMeta,
  VirtualService,
} from '@ambit/api';
import type { HttpRouteInput } from './http/compile.ts';
import type { HttpRequestView } from './http/request.ts';

export function meta(name: string, overrides: Partial<ObjectMeta> = {}): ObjectMeta {
  return {
    name,
    namespace: 'shop',
    generation: 1,
    creationTimestampMs: 0,
    labels: {},
    annotations: {},
    ...overrides,
  };
}

export function matchBlock(overrides: Partial<HttpMatchRequest> = {}): HttpMatchRequest {
  return {
    ignoreUriCase: false,
    headers: {},
    withoutHeaders: {},
    queryParams: {},
    sourceLabels: {},
    gateways: [],
    ...overrides,
  };
}

export function httpRule(overrides: Partial<HttpRule> = {}): HttpRule {
  return { match: [], route: [], mirrors: [], ...overrides };
}

/** A rule that sends everything to one subset of `reviews`. */
export function toSubset(subset: string, overrides: Partial<HttpRule> = {}): HttpRule {
  return httpRule({
    route: [{ destination: { host: 'reviews', subset }, weight: 100 }],
    ...overrides,
  });
}

export function virtualService(
  http: readonly HttpRule[],
  overrides: {
    readonly meta?: ObjectMeta;
    readonly spec?: Partial<VirtualService['spec']>;
  } = {},
): VirtualService {
  return {
    kind: 'VirtualService',
    apiVersion: 'networking.istio.io/v1',
    metadata: overrides.meta ?? meta('reviews'),
    spec: {
      hosts: ['reviews'],
      gateways: ['mesh'],
      http,
      tcp: [],
      tls: [],
      exportTo: [],
      ...overrides.spec,
    },
  };
}

export function routeMatch(
  path: HttpRouteMatch['path'],
  overrides: Partial<HttpRouteMatch> = {},
): HttpRouteMatch {
  return { path, headers: [], queryParams: [], ...overrides };
}

export function routeRule(backend: string, overrides: Partial<HttpRouteRule> = {}): HttpRouteRule {
  return {
    matches: [],
    filters: [],
    backendRefs: [{ group: '', kind: 'Service', name: backend, port: 80, weight: 1, filters: [] }],
    ...overrides,
  };
}

export function httpRoute(
  rules: readonly HttpRouteRule[],
  overrides: { readonly meta?: ObjectMeta; readonly port?: number } = {},
): HTTPRoute {
  const { port } = overrides;
  return {
    kind: 'HTTPRoute',
    apiVersion: 'gateway.networking.k8s.io/v1',
    metadata: overrides.meta ?? meta('reviews'),
    spec: {
      parentRefs: [
        {
          group: '',
          kind: 'Service',
          name: 'reviews',
          namespace: 'shop',
          ...(port === undefined ? {} : { port }),
        },
      ],
      hostnames: [],
      rules,
    },
  };
}

export function destinationRule(
  spec: Partial<DestinationRule['spec']>,
  metadata: ObjectMeta = meta('reviews'),
): DestinationRule {
  return {
    kind: 'DestinationRule',
    apiVersion: 'networking.istio.io/v1',
    metadata,
    spec: { host: 'reviews', subsets: [], exportTo: [], ...spec },
  };
}

/** The service `reviews` in `shop`, ports 80 and 81; `reviews-v1`, `reviews-v2` beside it. */
export function routeInput(overrides: Partial<HttpRouteInput> = {}): HttpRouteInput {
  const known: ReadonlyMap<string, readonly number[]> = new Map([
    ['reviews.shop.svc.cluster.local', [80]],
    ['reviews-v1.shop.svc.cluster.local', [80]],
    ['reviews-v2.shop.svc.cluster.local', [80]],
    ['many.shop.svc.cluster.local', [80, 81]],
  ]);
  return {
    service: {
      namespace: 'shop',
      name: 'reviews',
      hostname: 'reviews.shop.svc.cluster.local',
      ports: [80, 81],
    },
    clusterDomain: 'cluster.local',
    portsOf: (hostname) => known.get(hostname),
    virtualServices: [],
    httpRoutes: [],
    ...overrides,
  };
}

export function request(
  overrides: Partial<Omit<HttpRequestView, 'header'>> & {
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): HttpRequestView {
  const { headers = {}, ...rest } = overrides;
  return {
    method: 'GET',
    scheme: 'http',
    authority: 'reviews',
    path: '/',
    query: '',
    header: (name) => headers[name],
    port: 80,
    source: { namespace: 'shop', labels: { app: 'productpage' }, ip: '10.0.0.1' },
    ...rest,
  };
}
