/** gateway.networking.k8s.io: Gateway and its class, the routes, ReferenceGrant. */
import * as z from 'zod';
import type {
  BackendRef,
  Gateway,
  GatewayClass,
  GRPCRoute,
  GrpcRouteMatch,
  HTTPRoute,
  HttpHeaderFilter,
  HttpPathModifier,
  HttpRouteFilter,
  HttpRouteMatch,
  HttpRouteRule,
  ParentRef,
  ReferenceGrant,
  TCPRoute,
} from '../types/gateway.ts';
import { integer, listOf, name, oneOf, portNumber, renamed, reshape, text } from './build.ts';
import { duration, host, labels } from './values.ts';

const GATEWAY_GROUP = 'gateway.networking.k8s.io';

const namespaces = z.strictObject({
  from: oneOf(['Same', 'All', 'Selector']).default('Same'),
  selector: z.strictObject({ matchLabels: labels }).exactOptional(),
});

export const gatewaySpec: z.ZodType<Gateway['spec']> = z.strictObject({
  gatewayClassName: name,
  listeners: listOf(
    z.strictObject({
      name,
      port: portNumber,
      protocol: name,
      hostname: host({ wildcard: true }).exactOptional(),
      allowedRoutes: z.strictObject({ namespaces: namespaces.prefault({}) }).prefault({}),
    }),
  ),
  addresses: listOf(z.strictObject({ type: text.default('IPAddress'), value: name })),
  infrastructure: z
    .strictObject({
      labels,
      annotations: labels,
      parametersRef: z
        .strictObject({ group: text.default(''), kind: name.default('ConfigMap'), name })
        .exactOptional(),
    })
    .exactOptional(),
});

/** `core` is a spelling of the core group that Gateway API users know. */
const group = reshape<string, string>(
  text,
  (value) => (value === 'core' ? '' : value),
  (value) => value,
);

const parentRef: z.ZodType<ParentRef> = z.strictObject({
  group: group.default(GATEWAY_GROUP),
  kind: name.default('Gateway'),
  name,
  namespace: name.exactOptional(),
  port: portNumber.exactOptional(),
  sectionName: name.exactOptional(),
});

const backendFields = {
  group: group.default(''),
  kind: name.default('Service'),
  name,
  namespace: name.exactOptional(),
  port: portNumber.exactOptional(),
};
const backendRef: z.ZodType<BackendRef> = z.strictObject({
  ...backendFields,
  weight: integer(0, 1_000_000).default(1),
});

const headerValue = z.strictObject({ name, value: text });
const headerFilter: z.ZodType<HttpHeaderFilter> = z.strictObject({
  set: listOf(headerValue),
  add: listOf(headerValue),
  remove: listOf(name),
});

type WrittenPath = {
  readonly type: string;
  readonly replaceFullPath?: string;
  readonly replacePrefixMatch?: string;
};
const pathModifier: z.ZodType<HttpPathModifier> = reshape<WrittenPath, HttpPathModifier>(
  z.strictObject({
    type: oneOf(['ReplaceFullPath', 'ReplacePrefixMatch']),
    replaceFullPath: text.exactOptional(),
    replacePrefixMatch: text.exactOptional(),
  }) as unknown as z.ZodType<WrittenPath>,
  // That the field of `type` is there, alone, is a rule (`rules/route-filters.ts`); so are those of filters below.
  ({ type, replaceFullPath, replacePrefixMatch }) =>
    type === 'ReplaceFullPath'
      ? { type, value: replaceFullPath ?? '' }
      : { type: 'ReplacePrefixMatch', value: replacePrefixMatch ?? '' },
  ({ type, value }) =>
    type === 'ReplaceFullPath'
      ? { type, replaceFullPath: value }
      : { type, replacePrefixMatch: value },
);

const redirect = z.strictObject({
  scheme: oneOf(['http', 'https']).exactOptional(),
  hostname: host({ wildcard: false }).exactOptional(),
  port: portNumber.exactOptional(),
  path: pathModifier.exactOptional(),
  statusCode: oneOf([301, 302, 303, 307, 308]).default(302),
});
const urlRewrite = z.strictObject({
  hostname: host({ wildcard: false }).exactOptional(),
  path: pathModifier.exactOptional(),
});

const writtenMirror = z.strictObject({
  backendRef: z.strictObject(backendFields),
  percent: integer(0, 100).exactOptional(),
  fraction: z
    .strictObject({ numerator: integer(0), denominator: integer(1).default(100) })
    .exactOptional(),
});
type Mirror = { readonly backendRef: BackendRef; readonly percentage: number };
const requestMirror = reshape<z.output<typeof writtenMirror>, Mirror>(
  writtenMirror,
  ({ backendRef: target, percent, fraction }) => {
    const share =
      fraction === undefined ? (percent ?? 100) : (fraction.numerator / fraction.denominator) * 100;
    return { backendRef: { ...target, weight: 1 }, percentage: Math.round(share * 1e4) / 1e4 };
  },
  ({ backendRef: { weight: _weight, ...target }, percentage }) => ({
    backendRef: target,
    ...(Number.isInteger(percentage)
      ? { percent: percentage }
      : { fraction: { numerator: Math.round(percentage * 1e4), denominator: 1_000_000 } }),
  }),
);

const FILTER_TYPES = [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestRedirect',
  'URLRewrite',
  'RequestMirror',
] as const;

const writtenFilter = z.strictObject({
  type: oneOf(FILTER_TYPES),
  requestHeaderModifier: headerFilter.exactOptional(),
  responseHeaderModifier: headerFilter.exactOptional(),
  requestRedirect: redirect.exactOptional(),
  urlRewrite: urlRewrite.exactOptional(),
  requestMirror: requestMirror.exactOptional(),
});
const filter: z.ZodType<HttpRouteFilter> = reshape<z.output<typeof writtenFilter>, HttpRouteFilter>(
  writtenFilter,
  (value) => value as HttpRouteFilter,
  // The encoder of `scheme` takes any text; only a value that was parsed gets here.
  (value) => value as z.output<typeof writtenFilter>,
);

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
] as const;
const namedMatch = z.strictObject({
  type: oneOf(['Exact', 'RegularExpression']).default('Exact'),
  name,
  value: text,
});
const match: z.ZodType<HttpRouteMatch> = z.strictObject({
  path: z
    .strictObject({
      type: oneOf(['Exact', 'PathPrefix', 'RegularExpression']).default('PathPrefix'),
      value: text.default('/'),
    })
    .prefault({}),
  headers: listOf(namedMatch),
  queryParams: listOf(namedMatch),
  method: oneOf(METHODS).exactOptional(),
});

const EVERYTHING: readonly HttpRouteMatch[] = [
  { path: { type: 'PathPrefix', value: '/' }, headers: [], queryParams: [] },
];

const rule: z.ZodType<HttpRouteRule> = z.strictObject({
  name: name.exactOptional(),
  matches: reshape<readonly HttpRouteMatch[], readonly HttpRouteMatch[]>(
    listOf(match),
    (value) => (value.length === 0 ? EVERYTHING : value),
    (value) => value,
  ),
  filters: listOf(filter),
  backendRefs: listOf(
    z.strictObject({
      ...backendFields,
      weight: integer(0, 1_000_000).default(1),
      filters: listOf(filter),
    }),
  ),
  timeouts: renamed(
    {
      request: duration({ zeroIsOff: true }).exactOptional(),
      backendRequest: duration({ zeroIsOff: true }).exactOptional(),
    },
    { request: 'requestMs', backendRequest: 'backendRequestMs' },
  ).exactOptional(),
  retry: renamed(
    {
      codes: listOf(integer(400, 599)),
      attempts: integer(0).default(2),
      backoff: duration().exactOptional(),
    },
    { backoff: 'backoffMs' },
  ).exactOptional(),
});

export const httpRouteSpec: z.ZodType<HTTPRoute['spec']> = z.strictObject({
  parentRefs: listOf(parentRef),
  hostnames: listOf(host({ wildcard: true })),
  rules: listOf(rule),
});

const GRPC_FILTER_TYPES = [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestMirror',
] as const;

const writtenGrpcFilter = z.strictObject({
  type: oneOf(GRPC_FILTER_TYPES),
  requestHeaderModifier: headerFilter.exactOptional(),
  responseHeaderModifier: headerFilter.exactOptional(),
  requestMirror: requestMirror.exactOptional(),
});
const grpcFilter = reshape<z.output<typeof writtenGrpcFilter>, HttpRouteFilter>(
  writtenGrpcFilter,
  (value) => value as HttpRouteFilter,
  (value) => value as z.output<typeof writtenGrpcFilter>,
);

const EVERY_METHOD: readonly GrpcRouteMatch[] = [{ headers: [] }];

const grpcMatch: z.ZodType<GrpcRouteMatch> = z.strictObject({
  method: z
    .strictObject({
      type: oneOf(['Exact', 'RegularExpression']).default('Exact'),
      service: text.exactOptional(),
      method: text.exactOptional(),
    })
    .exactOptional(),
  headers: listOf(namedMatch),
});

export const grpcRouteSpec: z.ZodType<GRPCRoute['spec']> = z.strictObject({
  parentRefs: listOf(parentRef),
  hostnames: listOf(host({ wildcard: true })),
  rules: listOf(
    z.strictObject({
      name: name.exactOptional(),
      matches: reshape<readonly GrpcRouteMatch[], readonly GrpcRouteMatch[]>(
        listOf(grpcMatch),
        (value) => (value.length === 0 ? EVERY_METHOD : value),
        (value) => value,
      ),
      filters: listOf(grpcFilter),
      backendRefs: listOf(
        z.strictObject({
          ...backendFields,
          weight: integer(0, 1_000_000).default(1),
          filters: listOf(grpcFilter),
        }),
      ),
    }),
  ),
});

export const gatewayClassSpec: z.ZodType<GatewayClass['spec']> = z.strictObject({
  controllerName: name,
  description: text.exactOptional(),
  parametersRef: z
    .strictObject({ group: text, kind: name, name, namespace: name.exactOptional() })
    .exactOptional(),
});

export const referenceGrantSpec: z.ZodType<ReferenceGrant['spec']> = z.strictObject({
  from: listOf(z.strictObject({ group, kind: name, namespace: name })),
  to: listOf(z.strictObject({ group, kind: name, name: name.exactOptional() })),
});

export const tcpRouteSpec: z.ZodType<TCPRoute['spec']> = z.strictObject({
  parentRefs: listOf(parentRef),
  rules: listOf(z.strictObject({ name: name.exactOptional(), backendRefs: listOf(backendRef) })),
});
