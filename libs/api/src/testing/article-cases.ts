/** The YAML of articles on service meshes, broken as it was published: each piece with what we say about it. */
import assert from 'node:assert/strict';

export interface ArticleCase {
  readonly title: string;
  readonly text: string;
  /** `severity CODE path` of every finding of severity error or warning. */
  readonly says: readonly string[];
  /** Parts that the text for people has. */
  readonly texts?: readonly string[];
  readonly spec?: (spec: never) => void;
}

const vs = (spec: string) =>
  `apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: order-service}\nspec: ${spec}`;
const dr = (spec: string) =>
  `apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata: {name: reviews}\nspec: ${spec}`;
const ap = (spec: string) =>
  `apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {name: productpage, namespace: default}\nspec: ${spec}`;

export const ARTICLE_CASES: readonly ArticleCase[] = [
  {
    title: 'a weighted canary',
    text: vs(
      '{hosts: [order-service], http: [{route: [{destination: {host: order-service, subset: v1}, weight: 90}, {destination: {host: order-service, subset: v2}, weight: 10}]}]}',
    ),
    says: [],
  },
  {
    title: 'a fault without hosts',
    text: vs(
      '{http: [{fault: {delay: {percentage: {value: 50}, fixedDelay: 5s}}, route: [{destination: {host: reviews}}]}]}',
    ),
    says: ['error REQUIRED_FIELD spec.hosts'],
    texts: ['only a delegate may omit it'],
  },
  {
    title: 'retryPolicy and timeout in a DestinationRule',
    text: dr(
      '{host: reviews, trafficPolicy: {retryPolicy: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx,connect-failure,refused-stream"}, timeout: {http: 10s, connectTimeout: 5s}}}',
    ),
    says: [
      'warning DIALECT_RENAMED spec.trafficPolicy.timeout.connectTimeout',
      'warning DIALECT_RENAMED spec.trafficPolicy.timeout.http',
      'warning DIALECT_RENAMED spec.trafficPolicy.retryPolicy',
    ],
    texts: ['connectionPool.tcp.connectTimeout', 'http[].retries of a VirtualService'],
    spec: (spec: { trafficPolicy: unknown }) =>
      assert.deepEqual(spec.trafficPolicy, {
        connectionPool: { tcp: { connectTimeoutMs: 5000 } },
        portLevelSettings: [],
        requestDefaults: {
          timeoutMs: 10_000,
          retries: {
            attempts: 3,
            perTryTimeoutMs: 2000,
            retryOn: ['5xx', 'connect-failure', 'refused-stream'],
            retriableStatusCodes: [],
            retryIgnorePreviousHosts: true,
          },
        },
      }),
  },
  {
    title: 'circuitBreaker for outlierDetection, LEAST_CONN',
    text: dr(
      '{host: reviews, trafficPolicy: {loadBalancer: {simple: LEAST_CONN}, circuitBreaker: {consecutiveErrors: 3, interval: 30s, baseEjectionTime: 60s}}}',
    ),
    says: [
      'warning DIALECT_RENAMED spec.trafficPolicy.loadBalancer.simple',
      'warning DIALECT_RENAMED spec.trafficPolicy.circuitBreaker.consecutiveErrors',
      'warning DIALECT_RENAMED spec.trafficPolicy.circuitBreaker.interval',
      'warning DIALECT_RENAMED spec.trafficPolicy.circuitBreaker.baseEjectionTime',
    ],
    spec: (spec: { trafficPolicy: { outlierDetection: unknown } }) =>
      assert.deepEqual(spec.trafficPolicy.outlierDetection, {
        consecutive5xxErrors: 3,
        consecutiveGatewayErrors: 0,
        splitExternalLocalOriginErrors: false,
        consecutiveLocalOriginFailures: 5,
        intervalMs: 30_000,
        baseEjectionTimeMs: 60_000,
        maxEjectionPercent: 10,
        minHealthPercent: 0,
      }),
  },
  {
    title: 'an error inside a renamed block, at the place where it was written',
    text: dr('{host: reviews, trafficPolicy: {circuitBreaker: {interval: 30}}}'),
    says: [
      'error INVALID_DURATION spec.trafficPolicy.circuitBreaker.interval',
      'warning DIALECT_RENAMED spec.trafficPolicy.circuitBreaker.interval',
    ],
  },
  {
    title: 'keepAlive, and ejection fields beside outlierDetection',
    text: dr(
      '{host: reviews, trafficPolicy: {consecutiveGatewayErrors: 3, connectionPool: {tcp: {keepAlive: {time: 7200s, interval: 75s}}, http: {minHealthPercent: 30}}, outlierDetection: {maxEjectionPercent: 50}}}',
    ),
    says: [
      'warning DIALECT_RENAMED spec.trafficPolicy.consecutiveGatewayErrors',
      'warning DIALECT_RENAMED spec.trafficPolicy.connectionPool.http.minHealthPercent',
      'warning DIALECT_RENAMED spec.trafficPolicy.connectionPool.tcp.keepAlive',
    ],
    spec: (spec: { trafficPolicy: { connectionPool: unknown } }) =>
      assert.deepEqual(spec.trafficPolicy.connectionPool, {
        tcp: { tcpKeepalive: { timeMs: 7_200_000, intervalMs: 75_000 } },
      }),
  },
  {
    title: 'both the dialect and the official field',
    text: dr(
      '{host: reviews, trafficPolicy: {maxEjectionPercent: 20, outlierDetection: {maxEjectionPercent: 50}}}',
    ),
    says: ['error DIALECT_WRONG spec.trafficPolicy.maxEjectionPercent'],
  },
  {
    title: 'old percentages',
    text: vs(
      '{hosts: [a], http: [{mirror: {host: b}, mirrorPercent: 50, fault: {abort: {percent: 10, httpStatus: 500}}, route: [{destination: {host: a}}]}]}',
    ),
    says: [
      'warning DIALECT_RENAMED spec.http[0].mirrorPercent',
      'warning DIALECT_RENAMED spec.http[0].fault.abort.percent',
    ],
    spec: (spec: { http: readonly { mirrors: unknown; fault: unknown }[] }) => {
      assert.deepEqual(spec.http[0]?.mirrors, [{ destination: { host: 'b' }, percentage: 50 }]);
      assert.deepEqual(spec.http[0]?.fault, { abort: { percentage: 10, httpStatus: 500 } });
    },
  },
  {
    title: 'three list items that were meant as one rule',
    text: ap(
      '{selector: {matchLabels: {app: productpage}}, rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/gateway]}}]}, {to: [{operation: {methods: [GET]}}]}, {when: [{key: source.ip, values: [10.0.0.0/8, 172.16.0.0/12]}]}]}',
    ),
    says: [
      'warning RULES_ARE_ORED spec.rules[0]',
      'warning RULES_ARE_ORED spec.rules[1]',
      'warning RULES_ARE_ORED spec.rules[2]',
    ],
    texts: ['rule 3 alone allows'],
  },
  {
    title: 'a deny-all',
    text: ap('{}'),
    says: [],
    texts: ['everything in its scope is denied'],
  },
  {
    title: 'a policy with a misspelt field, which would widen it',
    text: ap('{rules: [{from: [{source: {principal: [a/ns/b/sa/c]}}]}]}'),
    says: ['error UNKNOWN_FIELD spec.rules[0].from[0].source.principal'],
    texts: ['did you mean principals?'],
  },
  {
    title: 'a policy whose from was left empty, which would open it to everybody',
    text: ap('{rules: [{from: , to: [{operation: {methods: [GET]}}]}]}'),
    says: ['error EMPTY_FIELD spec.rules[0].from'],
  },
  {
    title: 'a demand for a token, which is not verified yet',
    text: ap(
      '{action: ALLOW, rules: [{when: [{key: "request.auth.claims[iss]", values: ["https://accounts.google.com"]}]}]}',
    ),
    says: ['warning UNSUPPORTED_FIELD spec.rules[0].when[0].key'],
    texts: ['fails closed'],
  },
  {
    title: 'a RequestAuthentication',
    text: 'apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt}\nspec: {jwtRules: [{issuer: "https://accounts.google.com", jwksUri: "https://www.googleapis.com/oauth2/v3/certs"}]}',
    says: ['warning UNSUPPORTED_FIELD spec'],
    texts: ['fails closed'],
  },
  {
    title: 'an empty mtls',
    text: 'apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: {name: default}\nspec: {mtls: {}}',
    says: ['warning DIALECT_RENAMED spec.mtls'],
    spec: (spec: { mtls: unknown }) => assert.deepEqual(spec.mtls, { mode: 'UNSET' }),
  },
  {
    title: 'an ingress Gateway of Istio',
    text: 'apiVersion: networking.istio.io/v1beta1\nkind: Gateway\nmetadata: {name: bookinfo}\nspec: {servers: []}',
    says: ['warning UNSUPPORTED_KIND '],
    texts: ['istio-waypoint'],
  },
  {
    title: 'an EnvoyFilter',
    text: 'apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: lua}\nspec: {}',
    says: ['warning UNSUPPORTED_KIND '],
    texts: ['there is no Envoy here'],
  },
  {
    title: 'a namespace of the sidecar age',
    text: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}',
    says: [],
    texts: ['enrols the namespace'],
  },
  {
    title: 'a MeshConfig, which is no object',
    text: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: "{}"}',
    says: [],
    texts: ['ConfigMap is not read by the mesh'],
  },
];
