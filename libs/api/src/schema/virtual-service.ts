/** networking.istio.io VirtualService. */
import * as z from 'zod';
import type {
  CorsPolicy,
  Destination,
  HeaderOperations,
  Headers,
  HttpDirectResponse,
  HttpFault,
  HttpMatchRequest,
  HttpMirror,
  HttpRedirect,
  HttpRewrite,
  HttpRouteDestination,
  HttpRule,
  L4Match,
  StringMatch,
  TcpRule,
  TlsRule,
  VirtualService,
} from '../types/networking.ts';
import {
  integer,
  listOf,
  mapOf,
  name,
  oneOf,
  portNumber,
  renamed,
  reshape,
  text,
} from './build.ts';
import { httpRetry } from './retry.ts';
import {
  cidrText,
  duration,
  host,
  labels,
  percentage,
  port,
  presenceMatch,
  queryMatch,
  regex,
  stringMatch,
} from './values.ts';

export const destination: z.ZodType<Destination> = z.strictObject({
  host: host({ wildcard: false }),
  subset: name.exactOptional(),
  port: port.exactOptional(),
});

/** Names of headers in lower case, as the proxies compare them. */
function lowerKeys(matches: z.ZodType<Readonly<Record<string, StringMatch>>>) {
  return reshape<Readonly<Record<string, StringMatch>>, Readonly<Record<string, StringMatch>>>(
    matches,
    (value) =>
      Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toLowerCase(), item])),
    (value) => value,
  );
}

const match: z.ZodType<HttpMatchRequest> = z.strictObject({
  name: text.exactOptional(),
  uri: stringMatch.exactOptional(),
  ignoreUriCase: z.boolean().default(false),
  scheme: stringMatch.exactOptional(),
  method: stringMatch.exactOptional(),
  authority: stringMatch.exactOptional(),
  headers: lowerKeys(mapOf(presenceMatch)),
  withoutHeaders: lowerKeys(mapOf(presenceMatch)),
  queryParams: mapOf(queryMatch),
  port: portNumber.exactOptional(),
  sourceLabels: labels,
  sourceNamespace: name.exactOptional(),
  gateways: listOf(name),
});

const operations: z.ZodType<HeaderOperations> = z.strictObject({
  set: labels,
  add: labels,
  remove: listOf(name),
});
const headers: z.ZodType<Headers> = z.strictObject({
  request: operations.exactOptional(),
  response: operations.exactOptional(),
});

const weight = integer(0).default(0);
const httpDestination: z.ZodType<HttpRouteDestination> = z.strictObject({
  destination,
  weight,
  headers: headers.exactOptional(),
});

/** A single destination gets everything, whatever its weight says. */
function soleWeight<T extends { readonly weight: number }>(
  list: z.ZodType<readonly T[]>,
): z.ZodType<readonly T[]> {
  return reshape<readonly T[], readonly T[]>(
    list,
    (items) => (items.length === 1 ? items.map((item) => ({ ...item, weight: 100 })) : items),
    (items) => items,
  );
}

const REDIRECT_CODES = [301, 302, 303, 307, 308] as const;
const redirect: z.ZodType<HttpRedirect> = z.strictObject({
  uri: name.exactOptional(),
  prefixRewrite: name.exactOptional(),
  authority: name.exactOptional(),
  port: portNumber.exactOptional(),
  derivePort: oneOf(['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT']).exactOptional(),
  scheme: name.exactOptional(),
  redirectCode: oneOf(REDIRECT_CODES).default(301),
});

type Body = NonNullable<HttpDirectResponse['body']>;
const body = reshape<{ readonly string?: string; readonly bytes?: string }, Body>(
  z.strictObject({ string: text.exactOptional(), bytes: z.base64().exactOptional() }),
  // That exactly one is there is a rule (`rules/http-modifiers.ts`).
  (value) => (value.bytes === undefined ? { string: value.string ?? '' } : { bytes: value.bytes }),
  (value) => value,
);
const directResponse: z.ZodType<HttpDirectResponse> = z.strictObject({
  status: integer(200, 599),
  body: body.exactOptional(),
});

const rewrite: z.ZodType<HttpRewrite> = z.strictObject({
  uri: name.exactOptional(),
  uriRegexRewrite: z.strictObject({ match: regex, rewrite: text }).exactOptional(),
  authority: name.exactOptional(),
});

const fault: z.ZodType<HttpFault> = z.strictObject({
  delay: renamed(
    { percentage: percentage.default(0), fixedDelay: duration() },
    { fixedDelay: 'fixedDelayMs' },
  ).exactOptional(),
  abort: z
    .strictObject({
      percentage: percentage.default(0),
      httpStatus: integer(200, 599).exactOptional(),
      grpcStatus: name.exactOptional(),
    })
    .exactOptional(),
});

const corsPolicy: z.ZodType<CorsPolicy> = reshape(
  z.strictObject({
    allowOrigins: listOf(stringMatch),
    allowMethods: listOf(name),
    allowHeaders: listOf(name),
    exposeHeaders: listOf(name),
    maxAge: duration({ zeroIsOff: true, isWholeSeconds: true }).exactOptional(),
    allowCredentials: z.boolean().exactOptional(),
    unmatchedPreflights: oneOf(['FORWARD', 'IGNORE']).default('FORWARD'),
  }),
  ({ maxAge, ...rest }): CorsPolicy => ({
    ...rest,
    ...(maxAge === undefined ? {} : { maxAgeSeconds: maxAge / 1000 }),
  }),
  ({ maxAgeSeconds, ...rest }) => ({
    ...rest,
    ...(maxAgeSeconds === undefined ? {} : { maxAge: maxAgeSeconds * 1000 }),
  }),
);

const mirror = z.strictObject({ destination, percentage: percentage.default(100) });

const httpRule: z.ZodType<HttpRule> = reshape(
  z.strictObject({
    name: text.exactOptional(),
    match: listOf(match),
    route: soleWeight(listOf(httpDestination)),
    redirect: redirect.exactOptional(),
    directResponse: directResponse.exactOptional(),
    delegate: z.strictObject({ name, namespace: name.exactOptional() }).exactOptional(),
    rewrite: rewrite.exactOptional(),
    timeout: duration({ zeroIsOff: true }).exactOptional(),
    retries: httpRetry.exactOptional(),
    fault: fault.exactOptional(),
    mirror: destination.exactOptional(),
    mirrorPercentage: percentage.exactOptional(),
    mirrors: listOf(mirror),
    corsPolicy: corsPolicy.exactOptional(),
    headers: headers.exactOptional(),
  }),
  ({ timeout, mirror: single, mirrorPercentage, mirrors, ...rest }): HttpRule => {
    const all: readonly HttpMirror[] =
      single === undefined
        ? mirrors
        : [{ destination: single, percentage: mirrorPercentage ?? 100 }];
    return { ...rest, mirrors: all, ...(timeout === undefined ? {} : { timeoutMs: timeout }) };
  },
  ({ timeoutMs, ...rest }) => ({
    ...rest,
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
  }),
);

const l4Fields = {
  destinationSubnets: listOf(cidrText),
  port: portNumber.exactOptional(),
  sourceLabels: labels,
  sourceNamespace: name.exactOptional(),
  gateways: listOf(name),
};
const l4Match: z.ZodType<L4Match> = z.strictObject(l4Fields);
const l4Route = soleWeight(listOf(z.strictObject({ destination, weight })));
const tcpRule: z.ZodType<TcpRule> = z.strictObject({ match: listOf(l4Match), route: l4Route });
const tlsRule: z.ZodType<TlsRule> = z.strictObject({
  match: listOf(z.strictObject({ ...l4Fields, sniHosts: listOf(host({ wildcard: true })) })),
  route: l4Route,
});

export const virtualServiceSpec: z.ZodType<VirtualService['spec']> = z.strictObject({
  hosts: listOf(host({ wildcard: true })),
  gateways: reshape<readonly string[], readonly string[]>(
    listOf(name),
    (value) => (value.length === 0 ? ['mesh'] : value),
    // The default is left out again: a delegate may not carry the field at all.
    (value) => (value.length === 1 && value[0] === 'mesh' ? [] : value),
  ),
  http: listOf(httpRule),
  tcp: listOf(tcpRule),
  tls: listOf(tlsRule),
  exportTo: listOf(name),
});
