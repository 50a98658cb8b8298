/**
 * networking.istio.io DestinationRule.
 *
 * `retryPolicy` and `timeout` are no fields of the API; they are read as `requestDefaults` (see the
 * dialect table), so that an author of theirs gets what was meant.
 */
import * as z from 'zod';
import type {
  ClientTlsSettings,
  ConnectionPoolSettings,
  ConsistentHash,
  DestinationRule,
  LoadBalancerSettings,
  OutlierDetection,
  Subset,
  TrafficPolicy,
  TrafficPolicyBlocks,
} from '../types/networking.ts';
import { integer, listOf, name, oneOf, renamed, reshape, text } from './build.ts';
import { httpRetry } from './retry.ts';
import { duration, host, labelSelector, labels, port } from './values.ts';

const count = integer(0, 2 ** 32 - 1);
const percent = integer(0, 100);

const consistentHash: z.ZodType<ConsistentHash> = z.strictObject({
  httpHeaderName: name.exactOptional(),
  httpCookie: renamed(
    { name, path: text.exactOptional(), ttl: duration({ zeroIsOff: true }).exactOptional() },
    { ttl: 'ttlMs' },
  ).exactOptional(),
  useSourceIp: z.boolean().exactOptional(),
  httpQueryParameterName: name.exactOptional(),
  ringHash: z.strictObject({ minimumRingSize: count.default(1024) }).exactOptional(),
  maglev: z.strictObject({ tableSize: integer(2, 5_000_010).default(65_537) }).exactOptional(),
});

const loadBalancer: z.ZodType<LoadBalancerSettings> = z.strictObject({
  simple: oneOf(['LEAST_REQUEST', 'RANDOM', 'ROUND_ROBIN', 'PASSTHROUGH']).exactOptional(),
  consistentHash: consistentHash.exactOptional(),
});

const tcpKeepalive = renamed(
  {
    probes: count.exactOptional(),
    time: duration().exactOptional(),
    interval: duration().exactOptional(),
  },
  { time: 'timeMs', interval: 'intervalMs' },
);
const tcpPool = renamed(
  {
    maxConnections: count.exactOptional(),
    connectTimeout: duration().exactOptional(),
    maxConnectionDuration: duration().exactOptional(),
    idleTimeout: duration({ zeroIsOff: true }).exactOptional(),
    tcpKeepalive: tcpKeepalive.exactOptional(),
  },
  {
    connectTimeout: 'connectTimeoutMs',
    maxConnectionDuration: 'maxConnectionDurationMs',
    idleTimeout: 'idleTimeoutMs',
  },
);
const httpPool = renamed(
  {
    http1MaxPendingRequests: count.exactOptional(),
    http2MaxRequests: count.exactOptional(),
    maxRequestsPerConnection: count.exactOptional(),
    maxRetries: count.exactOptional(),
    idleTimeout: duration({ zeroIsOff: true }).exactOptional(),
    h2UpgradePolicy: oneOf(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']).exactOptional(),
    useClientProtocol: z.boolean().exactOptional(),
    maxConcurrentStreams: count.exactOptional(),
  },
  { idleTimeout: 'idleTimeoutMs' },
);
const connectionPool: z.ZodType<ConnectionPoolSettings> = z.strictObject({
  tcp: tcpPool.exactOptional(),
  http: httpPool.exactOptional(),
});

const outlierDetection: z.ZodType<OutlierDetection> = renamed(
  {
    consecutive5xxErrors: count.default(5),
    consecutiveGatewayErrors: count.default(0),
    splitExternalLocalOriginErrors: z.boolean().default(false),
    consecutiveLocalOriginFailures: count.default(5),
    interval: duration().default(10_000),
    baseEjectionTime: duration().default(30_000),
    maxEjectionPercent: percent.default(10),
    minHealthPercent: percent.default(0),
  },
  { interval: 'intervalMs', baseEjectionTime: 'baseEjectionTimeMs' },
);

const tls: z.ZodType<ClientTlsSettings> = z.strictObject({
  mode: oneOf(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']).default('DISABLE'),
  sni: name.exactOptional(),
  subjectAltNames: listOf(name),
  credentialName: name.exactOptional(),
  caCertificates: name.exactOptional(),
  insecureSkipVerify: z.boolean().exactOptional(),
});

const blocks = {
  loadBalancer: loadBalancer.exactOptional(),
  connectionPool: connectionPool.exactOptional(),
  outlierDetection: outlierDetection.exactOptional(),
  tls: tls.exactOptional(),
};
const portBlocks: z.ZodType<TrafficPolicyBlocks & { readonly port: { readonly number: number } }> =
  z.strictObject({ ...blocks, port });

const trafficPolicy: z.ZodType<TrafficPolicy> = reshape(
  z.strictObject({
    ...blocks,
    portLevelSettings: listOf(portBlocks),
    retryPolicy: httpRetry.exactOptional(),
    timeout: z
      .strictObject({ http: duration({ zeroIsOff: true }).exactOptional() })
      .exactOptional(),
  }),
  ({ retryPolicy, timeout, ...rest }): TrafficPolicy => {
    if (retryPolicy === undefined && timeout?.http === undefined) return rest;
    return {
      ...rest,
      requestDefaults: {
        ...(timeout?.http === undefined ? {} : { timeoutMs: timeout.http }),
        ...(retryPolicy === undefined ? {} : { retries: retryPolicy }),
      },
    };
  },
  ({ requestDefaults, ...rest }) => ({
    ...rest,
    ...(requestDefaults?.retries === undefined ? {} : { retryPolicy: requestDefaults.retries }),
    ...(requestDefaults?.timeoutMs === undefined
      ? {}
      : { timeout: { http: requestDefaults.timeoutMs } }),
  }),
);

const subset: z.ZodType<Subset> = z.strictObject({
  name,
  labels,
  trafficPolicy: trafficPolicy.exactOptional(),
});

export const destinationRuleSpec: z.ZodType<DestinationRule['spec']> = z.strictObject({
  host: host({ wildcard: true }),
  trafficPolicy: trafficPolicy.exactOptional(),
  subsets: listOf(subset),
  exportTo: listOf(name),
  workloadSelector: labelSelector.exactOptional(),
});
