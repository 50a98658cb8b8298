/**
 * The dialects: how YAML of ten years of articles departs from today's schema, in one table a class.
 *
 * renamed: one meaning only, accepted and rewritten. ineffective: accepted, does nothing here. wrong:
 * refused, with the fix that `meshctl fix` writes. The order of rows is the order of rewriting.
 */

import { POLICY_PLACES } from '../unsupported.ts';
import { isRecord, type Path } from '../value/path.ts';
import type { Edit } from './edit.ts';

export interface Dialect {
  readonly kinds: readonly string[];
  /** Patterns of `value/pattern.ts`. */
  readonly paths: readonly string[];
  readonly when?: (value: unknown) => boolean;
  /** What the official form has instead; for the documentation. */
  readonly becomes: string;
  readonly edits: (path: Path, value: unknown) => readonly Edit[];
  /** What is wrong or what happens, as a predicate of the path, without the fix. */
  readonly says: string;
  /** Where people got it from. */
  readonly source: string;
}

const ARTICLE = 'articles on service meshes';
const OLD_API = 'Istio API before 1.6';
const NO_EDIT = (): readonly Edit[] => [];

/** Moves a field to `to`, counted from `up` levels above it; then removes up to `emptied` levels that it leaves empty. */
function move(up: number, to: Path, emptied = 0) {
  return (path: Path): readonly Edit[] => {
    const target = [...path.slice(0, path.length - up), ...to];
    const edit: Edit = { op: 'move', from: path, to: target };
    const heir = target.slice(0, -1);
    return [
      edit,
      ...Array.from(
        { length: emptied },
        (_, level): Edit => ({ op: 'deleteIfEmpty', path: path.slice(0, -1 - level), heir }),
      ),
    ];
  };
}

const set =
  (value: (old: unknown) => unknown) =>
  (path: Path, old: unknown): readonly Edit[] => [{ op: 'set', path, value: value(old) }];

const inPolicies = (...fields: readonly string[]): readonly string[] =>
  POLICY_PLACES.flatMap((place) => fields.map((field) => `${place}.${field}`));

const EJECTION_FIELDS = [
  'consecutive5xxErrors',
  'consecutiveGatewayErrors',
  'consecutiveLocalOriginFailures',
  'splitExternalLocalOriginErrors',
  'baseEjectionTime',
  'maxEjectionPercent',
  'minHealthPercent',
];

function destinationRule(
  row: Omit<Dialect, 'kinds' | 'source'> & { readonly source?: string },
): Dialect {
  return { kinds: ['DestinationRule'], source: ARTICLE, ...row };
}

const CIRCUIT_BREAKER: readonly Dialect[] = [
  ['consecutiveErrors', 'consecutive5xxErrors'],
  ...['interval', ...EJECTION_FIELDS].map((field) => [field, field]),
].map(([from = '', to = '']) =>
  destinationRule({
    paths: inPolicies(`circuitBreaker.${from}`),
    becomes: `outlierDetection.${to}`,
    edits: move(2, ['outlierDetection', to], 1),
    says: 'is in circuitBreaker, which is no field of the API; it is read as outlierDetection',
  }),
);

const BESIDE: readonly Dialect[] = ['interval', ...EJECTION_FIELDS].map((field) =>
  destinationRule({
    paths: inPolicies(field),
    becomes: `outlierDetection.${field}`,
    edits: move(1, ['outlierDetection', field]),
    says: 'belongs inside outlierDetection; it is read as if it were there',
  }),
);

const IN_POOL: readonly Dialect[] = EJECTION_FIELDS.flatMap((field) => [
  destinationRule({
    paths: inPolicies(`connectionPool.${field}`),
    becomes: `outlierDetection.${field}`,
    edits: move(2, ['outlierDetection', field], 1),
    says: 'belongs inside outlierDetection; it is read as if it were there',
  }),
  destinationRule({
    paths: inPolicies(`connectionPool.tcp.${field}`, `connectionPool.http.${field}`),
    becomes: `outlierDetection.${field}`,
    edits: move(3, ['outlierDetection', field], 2),
    says: 'belongs inside outlierDetection; it is read as if it were there',
  }),
]);

const ISTIO_API = 'Istio API';
const SAYS_NOTHING = 'says nothing; it is read as absent';
const isUnspecified = (value: unknown): boolean => value === 'UNSPECIFIED';

export const RENAMED: readonly Dialect[] = [
  destinationRule({
    paths: inPolicies('loadBalancer.simple'),
    when: (value) => value === 'LEAST_CONN',
    becomes: 'loadBalancer.simple: LEAST_REQUEST',
    edits: set(() => 'LEAST_REQUEST'),
    says: 'is the old name of LEAST_REQUEST',
    source: 'Istio API, deprecated since 1.11',
  }),
  destinationRule({
    paths: inPolicies('loadBalancer.simple'),
    when: isUnspecified,
    becomes: 'nothing: the default',
    edits: (path) => [{ op: 'delete', path }],
    says: SAYS_NOTHING,
    source: ISTIO_API,
  }),
  {
    kinds: ['VirtualService'],
    paths: ['spec.http[].corsPolicy.unmatchedPreflights'],
    when: isUnspecified,
    becomes: 'nothing: the default',
    edits: (path) => [{ op: 'delete', path }],
    says: SAYS_NOTHING,
    source: ISTIO_API,
  },
  ...CIRCUIT_BREAKER,
  destinationRule({
    paths: inPolicies('outlierDetection.consecutiveErrors'),
    becomes: 'outlierDetection.consecutiveGatewayErrors',
    edits: move(1, ['consecutiveGatewayErrors']),
    says: 'is the old name of consecutiveGatewayErrors',
    source: OLD_API,
  }),
  ...BESIDE,
  ...IN_POOL,
  destinationRule({
    paths: inPolicies('connectionPool.tcp.keepAlive', 'connectionPool.tcp.keepalive'),
    becomes: 'connectionPool.tcp.tcpKeepalive',
    edits: move(1, ['tcpKeepalive']),
    says: 'is called tcpKeepalive',
  }),
  destinationRule({
    paths: inPolicies('timeout'),
    when: (value) => typeof value === 'string',
    becomes: 'timeout.http',
    edits: move(0, ['http']),
    says: 'is no field of a DestinationRule; it is read as the default request timeout of the host',
  }),
  destinationRule({
    paths: inPolicies('timeout.connectTimeout'),
    becomes: 'connectionPool.tcp.connectTimeout',
    edits: move(2, ['connectionPool', 'tcp', 'connectTimeout'], 1),
    says: 'is no field of a DestinationRule; it belongs into connectionPool.tcp',
  }),
  destinationRule({
    paths: ['spec.trafficPolicy.timeout.http', 'spec.subsets[].trafficPolicy.timeout.http'],
    becomes: 'VirtualService http[].timeout (kept here: the default of the host)',
    edits: NO_EDIT,
    says: 'is no field of a DestinationRule; it is read as the default request timeout of the host. Its place is http[].timeout of a VirtualService',
  }),
  destinationRule({
    paths: ['spec.trafficPolicy.retryPolicy', 'spec.subsets[].trafficPolicy.retryPolicy'],
    becomes: 'VirtualService http[].retries (kept here: the default of the host)',
    edits: NO_EDIT,
    says: 'is no field of a DestinationRule; it is read as the default retries of the host. Its place is http[].retries of a VirtualService',
  }),
  {
    kinds: ['VirtualService'],
    paths: ['spec.http[].mirrorPercent', 'spec.http[].mirror_percent'],
    when: (value) => typeof value === 'number',
    becomes: 'mirrorPercentage.value',
    edits: move(1, ['mirrorPercentage', 'value']),
    says: 'is the old form of mirrorPercentage',
    source: 'Istio API, deprecated since 1.4',
  },
  {
    kinds: ['VirtualService'],
    paths: ['spec.http[].fault.delay.percent', 'spec.http[].fault.abort.percent'],
    when: (value) => typeof value === 'number',
    becomes: 'percentage.value',
    edits: move(1, ['percentage', 'value']),
    says: 'is the old form of percentage',
    source: 'Istio API, deprecated since 1.1',
  },
  {
    kinds: ['PeerAuthentication'],
    paths: ['spec.mtls'],
    when: (value) => isRecord(value) && Object.keys(value).length === 0,
    becomes: 'mtls.mode: UNSET',
    edits: set(() => ({ mode: 'UNSET' })),
    says: 'is empty and inherits the mode of the namespace or mesh; it does not mean STRICT as it did in the old Policy',
    source: OLD_API,
  },
  {
    kinds: ['AuthorizationPolicy', 'RequestAuthentication'],
    paths: ['spec.targetRef'],
    when: isRecord,
    becomes: 'targetRefs[0]',
    edits: (path, value) => [
      { op: 'delete', path },
      { op: 'set', path: [...path.slice(0, -1), 'targetRefs'], value: [value] },
    ],
    says: 'is the old form of targetRefs',
    source: 'Istio API, deprecated since 1.22',
  },
];

const SIDECAR = 'has no effect: there is no sidecar';

export const INEFFECTIVE: readonly Dialect[] = [
  {
    kinds: ['Namespace'],
    paths: ['metadata.labels.istio-injection'],
    when: (value) => value === 'enabled',
    becomes: 'label istio.io/dataplane-mode: ambient',
    edits: NO_EDIT,
    says: 'injects no sidecar; it enrols the namespace, as istio.io/dataplane-mode=ambient does',
    source: ARTICLE,
  },
  {
    kinds: ['Pod', 'Deployment'],
    paths: ['metadata', 'spec.template.metadata'].flatMap((place) => [
      `${place}.annotations.{sidecar.istio.io/}`,
      `${place}.labels.{sidecar.istio.io/}`,
      `${place}.annotations.{proxy.istio.io/}`,
      `${place}.annotations.{inject.istio.io/}`,
    ]),
    becomes: 'nothing: sidecar sizing and templates',
    edits: NO_EDIT,
    says: SIDECAR,
    source: 'sidecar installations',
  },
  {
    kinds: ['Pod', 'Deployment'],
    paths: ['metadata', 'spec.template.metadata'].flatMap((place) => [
      `${place}.annotations.{traffic.sidecar.istio.io/include}`,
      `${place}.annotations.{traffic.sidecar.istio.io/excludeInterfaces}`,
      `${place}.annotations.{traffic.sidecar.istio.io/kubevirt}`,
    ]),
    becomes:
      'nothing: all TCP traffic of an enrolled pod is captured, but for excluded ports and ranges',
    edits: NO_EDIT,
    says: 'is not honoured: all TCP traffic of an enrolled pod is captured, but for excluded ports and ranges',
    source: 'sidecar installations',
  },
  {
    kinds: ['VirtualService'],
    paths: ['spec.http[].websocketUpgrade'],
    becomes: 'nothing: upgrades are always on',
    edits: (path) => [{ op: 'delete', path }],
    says: 'is not needed: WebSocket upgrades are always on',
    source: OLD_API,
  },
];

const SOURCE_FIELDS = [
  'principals',
  'notPrincipals',
  'namespaces',
  'notNamespaces',
  'ipBlocks',
  'notIpBlocks',
  'serviceAccounts',
];
const OPERATION_FIELDS = [
  'methods',
  'notMethods',
  'paths',
  'notPaths',
  'hosts',
  'notHosts',
  'ports',
  'notPorts',
];

const isLowerCaseOf = (allowed: readonly string[]) => (value: unknown) =>
  typeof value === 'string' && !allowed.includes(value) && allowed.includes(value.toUpperCase());
const upper = set((value) => String(value).toUpperCase());

export const WRONG: readonly Dialect[] = [
  {
    kinds: ['VirtualService'],
    paths: [
      'spec.http[].route[].destination.port',
      'spec.tcp[].route[].destination.port',
      'spec.http[].mirror.port',
    ],
    when: (value) => typeof value === 'number',
    becomes: 'port.number',
    edits: move(0, ['number']),
    says: 'must be an object with number',
    source: ARTICLE,
  },
  {
    kinds: ['VirtualService'],
    paths: [
      'spec.http[].mirrorPercentage',
      'spec.http[].mirrors[].percentage',
      'spec.http[].fault.delay.percentage',
      'spec.http[].fault.abort.percentage',
    ],
    when: (value) => typeof value === 'number',
    becomes: 'percentage.value',
    edits: move(0, ['value']),
    says: 'must be an object with value',
    source: ARTICLE,
  },
  {
    kinds: ['VirtualService'],
    paths: ['spec.http[].match', 'spec.http[].route', 'spec.tcp[].match', 'spec.tcp[].route'],
    when: isRecord,
    becomes: 'a list',
    edits: set((value) => [value]),
    says: 'is one entry where a list belongs',
    source: ARTICLE,
  },
  {
    kinds: ['AuthorizationPolicy'],
    paths: SOURCE_FIELDS.map((field) => `spec.rules[].from[].${field}`),
    becomes: 'from[].source',
    edits: (path) => move(1, ['source', path.at(-1) ?? ''])(path),
    says: 'belongs inside source',
    source: ARTICLE,
  },
  {
    kinds: ['AuthorizationPolicy'],
    paths: OPERATION_FIELDS.map((field) => `spec.rules[].to[].${field}`),
    becomes: 'to[].operation',
    edits: (path) => move(1, ['operation', path.at(-1) ?? ''])(path),
    says: 'belongs inside operation',
    source: ARTICLE,
  },
  {
    kinds: ['AuthorizationPolicy'],
    paths: ['principals', 'notPrincipals'].map((field) => `spec.rules[].from[].source.${field}[]`),
    when: (value) => typeof value === 'string' && value.startsWith('spiffe://'),
    becomes: 'the principal without spiffe://',
    edits: set((value) => String(value).slice('spiffe://'.length)),
    says: 'begins with spiffe://, and so never matches',
    source: ARTICLE,
  },
  {
    kinds: ['AuthorizationPolicy'],
    paths: ['spec.rules[].to[].operation.ports[]', 'spec.rules[].to[].operation.notPorts[]'],
    when: (value) => typeof value === 'number',
    becomes: 'a string',
    edits: set(String),
    says: 'must be a string',
    source: ARTICLE,
  },
  {
    kinds: ['AuthorizationPolicy'],
    paths: ['spec.action'],
    when: isLowerCaseOf(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']),
    becomes: 'upper case',
    edits: upper,
    says: 'must be in upper case',
    source: ARTICLE,
  },
  {
    kinds: ['PeerAuthentication'],
    paths: ['spec.mtls.mode', 'spec.portLevelMtls.*.mode'],
    when: isLowerCaseOf(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']),
    becomes: 'upper case',
    edits: upper,
    says: 'must be in upper case',
    source: ARTICLE,
  },
  {
    kinds: ['DestinationRule'],
    paths: ['spec.subsets[].labels.*', 'metadata.labels.*'],
    when: (value) => typeof value === 'number' || typeof value === 'boolean',
    becomes: 'a string',
    edits: set(String),
    says: 'must be a string',
    source: ARTICLE,
  },
];
