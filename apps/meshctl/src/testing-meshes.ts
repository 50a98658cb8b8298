/** Two meshes for tests: one as it should be, and one with one fault of each kind. */
import type { AdminProxy, ObjectStatus } from '@ambit/model';
import { type FakeState, NOW_MS } from './testing.ts';

const MESH = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Pod
metadata: {name: client-1, namespace: shop, labels: {app: client}}
spec: {serviceAccountName: client, nodeName: n1, containers: [{name: a, command: [x]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: shop, labels: {app: reviews}}
spec: {serviceAccountName: reviews, nodeName: n2, containers: [{name: a, command: [x]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.2}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  selector: {app: reviews}
  clusterIPs: [10.96.0.1]
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody-else, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/client]}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
`;

const AGENT: AdminProxy = {
  id: 'Pod/istio-system/agent-n1',
  kind: 'node-agent',
  name: 'n1',
  address: '192.168.0.1:40000',
  connectedSinceMs: NOW_MS - 300_000,
  subscriptions: [
    { type: 'Address', resources: 3, pending: 0, acknowledgedAtMs: NOW_MS - 1000 },
    { type: 'Authorization', resources: 1, pending: 0, acknowledgedAtMs: NOW_MS - 1000 },
  ],
  captured: ['Kubernetes//Pod/shop/client-1', 'Kubernetes//Pod/shop/reviews-1'],
};
const CERTIFICATE = {
  identity: 'spiffe://cluster.local/ns/shop/sa/client',
  proxy: 'n1',
  serial: '01ab',
  notBeforeMs: NOW_MS - 3_600_000,
  notAfterMs: NOW_MS + 82_800_000,
};
const TRUE = { status: 'True', reason: 'Enforced', message: '', observedGeneration: 0 } as const;
const FINE = ['AuthorizationPolicy/shop/nobody-else', 'DestinationRule/shop/reviews'].map(
  (key) => ({
    key,
    conditions: [
      { ...TRUE, type: 'Accepted' },
      { ...TRUE, type: 'Enforced' },
    ],
    findings: [],
  }),
);

export const FINE_MESH: FakeState = {
  yaml: MESH,
  proxies: [AGENT],
  certificates: [CERTIFICATE],
  statuses: FINE,
};

const BROKEN: ObjectStatus = {
  key: 'VirtualService/shop/broken',
  conditions: [
    {
      type: 'Accepted',
      status: 'False',
      reason: 'Invalid',
      message: 'spec.hosts is required',
      observedGeneration: 2,
    },
  ],
  findings: [
    {
      code: 'REQUIRED_FIELD',
      severity: 'error',
      path: 'spec.hosts',
      message: 'is required',
      fix: 'name a host',
    },
  ],
};

export const TROUBLED_MESH: FakeState = {
  yaml: MESH,
  controller: { refused: 1 },
  proxies: [
    {
      ...AGENT,
      subscriptions: [
        { type: 'Address', resources: 3, pending: 1, pendingSinceMs: NOW_MS - 60_000 },
        { type: 'Object', resources: 1, pending: 0, error: 'kind "Foo" is not known' },
      ],
    },
    {
      id: 'x',
      kind: 'waypoint',
      name: 'shop/waypoint',
      address: '',
      subscriptions: [],
      captured: [],
    },
  ],
  certificates: [{ ...CERTIFICATE, notAfterMs: NOW_MS - 60_000 }],
  statuses: [BROKEN],
};

export function manyBroken(count: number): readonly ObjectStatus[] {
  return Array.from({ length: count }, (_, i) => ({ ...BROKEN, key: `${BROKEN.key}-${i}` }));
}
