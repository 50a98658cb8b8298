/**
 * networking.istio.io: VirtualService, DestinationRule, ServiceEntry, WorkloadEntry.
 *
 * Field names and meaning are those of Istio's API (v1; v1beta1 and v1alpha3 have the same shape).
 * Durations are milliseconds after parsing, percentages are 0..100, hosts are as written (short
 * names are completed with the object's namespace by the model).
 */
import type { LabelSelector, ObjectBase } from './meta.ts';

/** Exactly one key. `regex` is RE2 and must match the whole value. */
export type StringMatch =
  | { readonly exact: string }
  | { readonly prefix: string }
  | { readonly regex: string }
  /** Present with any value: `{}` or `regex: '*'` in what people write. */
  | { readonly present: true };

export interface PortSelector {
  readonly number: number;
}

export interface Destination {
  readonly host: string;
  readonly subset?: string;
  readonly port?: PortSelector;
}

export interface HeaderOperations {
  readonly set: Readonly<Record<string, string>>;
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface Headers {
  readonly request?: HeaderOperations;
  readonly response?: HeaderOperations;
}

export interface HttpMatchRequest {
  readonly name?: string;
  readonly uri?: StringMatch;
  readonly ignoreUriCase: boolean;
  readonly scheme?: StringMatch;
  readonly method?: StringMatch;
  readonly authority?: StringMatch;
  readonly headers: Readonly<Record<string, StringMatch>>;
  readonly withoutHeaders: Readonly<Record<string, StringMatch>>;
  readonly queryParams: Readonly<Record<string, StringMatch>>;
  readonly port?: number;
  readonly sourceLabels: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
  readonly gateways: readonly string[];
}

export interface HttpRouteDestination {
  readonly destination: Destination;
  readonly weight: number;
  readonly headers?: Headers;
}

export interface HttpRedirect {
  readonly uri?: string;
  readonly prefixRewrite?: string;
  readonly authority?: string;
  readonly port?: number;
  readonly derivePort?: 'FROM_PROTOCOL_DEFAULT' | 'FROM_REQUEST_PORT';
  readonly scheme?: string;
  readonly redirectCode: 301 | 302 | 303 | 307 | 308;
}

export interface HttpDirectResponse {
  readonly status: number;
  /** Body as bytes in latin1-safe form: `string` or base64 `bytes`. */
  readonly body?: { readonly string: string } | { readonly bytes: string };
}

export interface HttpRewrite {
  readonly uri?: string;
  readonly uriRegexRewrite?: { readonly match: string; readonly rewrite: string };
  readonly authority?: string;
}

export interface HttpRetry {
  readonly attempts: number;
  readonly perTryTimeoutMs?: number;
  /** Names of the grammar of `retryOn`; numbers became `retriableStatusCodes`. */
  readonly retryOn: readonly string[];
  readonly retriableStatusCodes: readonly number[];
  readonly retryIgnorePreviousHosts: boolean;
  readonly backoffMs?: number;
}

export interface HttpFault {
  readonly delay?: { readonly percentage: number; readonly fixedDelayMs: number };
  readonly abort?: {
    readonly percentage: number;
    readonly httpStatus?: number;
    readonly grpcStatus?: string;
  };
}

export interface HttpMirror {
  readonly destination: Destination;
  readonly percentage: number;
}

export interface CorsPolicy {
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds?: number;
  readonly allowCredentials?: boolean;
  readonly unmatchedPreflights: 'FORWARD' | 'IGNORE';
}

/** Exactly one of `route` (not empty), `redirect`, `directResponse`, `delegate`. */
export interface HttpRule {
  readonly name?: string;
  /** Empty matches everything. */
  readonly match: readonly HttpMatchRequest[];
  readonly route: readonly HttpRouteDestination[];
  readonly redirect?: HttpRedirect;
  readonly directResponse?: HttpDirectResponse;
  readonly delegate?: { readonly name: string; readonly namespace?: string };
  readonly rewrite?: HttpRewrite;
  /** Absent or 0: none. */
  readonly timeoutMs?: number;
  /** Absent: the mesh default (2 attempts, connect-failure and friends). */
  readonly retries?: HttpRetry;
  readonly fault?: HttpFault;
  readonly mirrors: readonly HttpMirror[];
  readonly corsPolicy?: CorsPolicy;
  readonly headers?: Headers;
}

export interface L4Match {
  readonly destinationSubnets: readonly string[];
  readonly port?: number;
  readonly sourceLabels: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
  readonly gateways: readonly string[];
}

export interface TcpRule {
  readonly match: readonly L4Match[];
  readonly route: readonly { readonly destination: Destination; readonly weight: number }[];
}

export interface TlsRule {
  readonly match: readonly (L4Match & { readonly sniHosts: readonly string[] })[];
  readonly route: readonly { readonly destination: Destination; readonly weight: number }[];
}

export interface VirtualService extends ObjectBase<'VirtualService'> {
  readonly spec: {
    readonly hosts: readonly string[];
    /** Default `['mesh']`. */
    readonly gateways: readonly string[];
    readonly http: readonly HttpRule[];
    readonly tcp: readonly TcpRule[];
    readonly tls: readonly TlsRule[];
    readonly exportTo: readonly string[];
  };
}

export interface ConsistentHash {
  readonly httpHeaderName?: string;
  readonly httpCookie?: { readonly name: string; readonly path?: string; readonly ttlMs?: number };
  readonly useSourceIp?: boolean;
  readonly httpQueryParameterName?: string;
  readonly ringHash?: { readonly minimumRingSize: number };
  readonly maglev?: { readonly tableSize: number };
}

export interface LoadBalancerSettings {
  readonly simple?: 'LEAST_REQUEST' | 'RANDOM' | 'ROUND_ROBIN' | 'PASSTHROUGH';
  readonly consistentHash?: ConsistentHash;
}

/** Absent means no limit (2^32 − 1). */
export interface ConnectionPoolSettings {
  readonly tcp?: {
    readonly maxConnections?: number;
    readonly connectTimeoutMs?: number;
    readonly maxConnectionDurationMs?: number;
    readonly idleTimeoutMs?: number;
    readonly tcpKeepalive?: {
      readonly probes?: number;
      readonly timeMs?: number;
      readonly intervalMs?: number;
    };
  };
  readonly http?: {
    readonly http1MaxPendingRequests?: number;
    readonly http2MaxRequests?: number;
    readonly maxRequestsPerConnection?: number;
    readonly maxRetries?: number;
    readonly idleTimeoutMs?: number;
    readonly h2UpgradePolicy?: 'DEFAULT' | 'DO_NOT_UPGRADE' | 'UPGRADE';
    readonly useClientProtocol?: boolean;
    readonly maxConcurrentStreams?: number;
  };
}

/** Defaults are written out. 0 turns a detector off. */
export interface OutlierDetection {
  readonly consecutive5xxErrors: number;
  readonly consecutiveGatewayErrors: number;
  readonly splitExternalLocalOriginErrors: boolean;
  readonly consecutiveLocalOriginFailures: number;
  readonly intervalMs: number;
  readonly baseEjectionTimeMs: number;
  readonly maxEjectionPercent: number;
  readonly minHealthPercent: number;
}

export interface ClientTlsSettings {
  readonly mode: 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL';
  readonly sni?: string;
  readonly subjectAltNames: readonly string[];
  readonly credentialName?: string;
  readonly caCertificates?: string;
  readonly insecureSkipVerify?: boolean;
}

/** An absent block inherits (subset from top, top from the mesh default). */
export interface TrafficPolicyBlocks {
  readonly loadBalancer?: LoadBalancerSettings;
  readonly connectionPool?: ConnectionPoolSettings;
  readonly outlierDetection?: OutlierDetection;
  readonly tls?: ClientTlsSettings;
}

/**
 * Request settings that an author put into a DestinationRule, where today's schema has none (dialect
 * `trafficPolicy.retryPolicy` and `trafficPolicy.timeout`): the defaults of that host, for requests whose
 * route says nothing itself.
 */
export interface RequestDefaults {
  readonly timeoutMs?: number;
  readonly retries?: HttpRetry;
}

export interface TrafficPolicy extends TrafficPolicyBlocks {
  readonly requestDefaults?: RequestDefaults;
  /** A port's entry replaces all blocks of that port; omitted ones return to defaults. */
  readonly portLevelSettings: readonly (TrafficPolicyBlocks & { readonly port: PortSelector })[];
}

export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly trafficPolicy?: TrafficPolicy;
}

export interface DestinationRule extends ObjectBase<'DestinationRule'> {
  readonly spec: {
    readonly host: string;
    readonly trafficPolicy?: TrafficPolicy;
    readonly subsets: readonly Subset[];
    readonly exportTo: readonly string[];
    readonly workloadSelector?: LabelSelector;
  };
}

export interface WorkloadEntrySpec {
  /** IP or DNS name. */
  readonly address: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: string;
  readonly locality: string;
  readonly weight: number;
  readonly serviceAccount: string;
}

export interface WorkloadEntry extends ObjectBase<'WorkloadEntry'> {
  readonly spec: WorkloadEntrySpec;
}

export interface ServiceEntry extends ObjectBase<'ServiceEntry'> {
  readonly spec: {
    readonly hosts: readonly string[];
    readonly addresses: readonly string[];
    readonly ports: readonly {
      readonly number: number;
      readonly protocol: string;
      readonly name: string;
      readonly targetPort?: number;
    }[];
    readonly location: 'MESH_EXTERNAL' | 'MESH_INTERNAL';
    readonly resolution: 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';
    readonly endpoints: readonly WorkloadEntrySpec[];
    readonly workloadSelector?: { readonly labels: Readonly<Record<string, string>> };
    readonly exportTo: readonly string[];
    readonly subjectAltNames: readonly string[];
  };
}
