/** Every class of old spelling once, as an object that is written with it: what is said, and what it becomes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject } from '../parse-object.ts';
import { isRecord, valueAt } from '../value/path.ts';

const API: Readonly<Record<string, string>> = {
  DestinationRule: 'networking.istio.io/v1',
  VirtualService: 'networking.istio.io/v1',
  AuthorizationPolicy: 'security.istio.io/v1',
  Namespace: 'v1',
  Pod: 'v1',
};

interface Row {
  readonly title: string;
  readonly kind: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** `CODE path` of the finding. */
  readonly says: string;
  /** Where in the object, and what. */
  readonly becomes?: readonly [path: readonly (string | number)[], value: unknown];
}

const rule = (trafficPolicy: object) => ({ spec: { host: 'a', trafficPolicy } });
const metadata = (more: object) => ({ metadata: { name: 'x', ...more } });
const route = [{ destination: { host: 'a' } }];
const containers = [{ name: 'c', image: 'i' }];

const ROWS: readonly Row[] = [
  {
    title: 'outlierDetection.consecutiveErrors',
    kind: 'DestinationRule',
    body: rule({ outlierDetection: { consecutiveErrors: 7 } }),
    says: 'DIALECT_RENAMED spec.trafficPolicy.outlierDetection.consecutiveErrors',
    becomes: [['spec', 'trafficPolicy', 'outlierDetection', 'consecutiveGatewayErrors'], 7],
  },
  {
    title: 'ejection fields in the connection pool',
    kind: 'DestinationRule',
    body: rule({ connectionPool: { tcp: { maxEjectionPercent: 40 } } }),
    says: 'DIALECT_RENAMED spec.trafficPolicy.connectionPool.tcp.maxEjectionPercent',
    becomes: [['spec', 'trafficPolicy', 'outlierDetection', 'maxEjectionPercent'], 40],
  },
  {
    title: 'websocketUpgrade',
    kind: 'VirtualService',
    body: { spec: { hosts: ['a'], http: [{ websocketUpgrade: true, route }] } },
    says: 'DIALECT_INEFFECTIVE spec.http[0].websocketUpgrade',
    becomes: [['spec', 'http', 0, 'websocketUpgrade'], undefined],
  },
  {
    title: 'targetRef',
    kind: 'AuthorizationPolicy',
    body: { spec: { targetRef: { kind: 'Service', name: 'a' }, rules: [{}] } },
    says: 'DIALECT_RENAMED spec.targetRef',
    becomes: [['spec', 'targetRefs', 0, 'name'], 'a'],
  },
  {
    title: 'the injection label',
    kind: 'Namespace',
    body: metadata({ labels: { 'istio-injection': 'enabled' } }),
    says: 'DIALECT_INEFFECTIVE metadata.labels.istio-injection',
  },
  ...(['sidecar.istio.io/proxyCPU', 'proxy.istio.io/config', 'inject.istio.io/templates'].map(
    (name): Row => ({
      title: `annotation ${name}`,
      kind: 'Pod',
      body: { ...metadata({ annotations: { [name]: 'x' } }), spec: { containers } },
      says: `DIALECT_INEFFECTIVE metadata.annotations["${name}"]`,
    }),
  ) satisfies readonly Row[]),
  {
    title: 'annotations that include ports',
    kind: 'Pod',
    body: {
      ...metadata({ annotations: { 'traffic.sidecar.istio.io/includeOutboundPorts': '3306' } }),
      spec: { containers },
    },
    says: 'DIALECT_INEFFECTIVE metadata.annotations["traffic.sidecar.istio.io/includeOutboundPorts"]',
  },
];

describe('an old spelling', () => {
  for (const { title, kind, body, says, becomes } of ROWS) {
    it(title, () => {
      const result = parseObject({ apiVersion: API[kind], kind, ...metadata({}), ...body });
      const found = result.findings.map(({ code, path }) => `${code} ${path}`);
      assert.ok(found.includes(says), `${says} is in ${JSON.stringify(found)}`);
      assert.ok(isRecord(result.object), 'it is accepted');
      if (becomes !== undefined) {
        assert.deepEqual(valueAt(result.object, becomes[0]), becomes[1]);
      }
    });
  }
});
