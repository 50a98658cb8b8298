/** What is said of callers of a waypoint whose tunnels end in its agent: who judges them there, and who judges the proxy behind. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { explain } from './explain.ts';
import {
  boundSnapshotOf,
  GATEWAY,
  podYaml,
  SHOP,
  serviceYaml,
  snapshotOf,
  WAYPOINT,
} from './testing.ts';

const LABELS =
  '{app: front, istio.io/dataplane-mode: ambient, gateway.networking.k8s.io/gateway-name: waypoint}';
const FRONT = `${podYaml('front-0', '10.0.0.9', { account: 'waypoint', labels: LABELS })}${serviceYaml('front', '10.96.0.9')}`;
const BEHIND = GATEWAY.replace('labels: {', 'annotations: {BINDING: PROXY/15088}, labels: {')
  .replace('BINDING', 'ambient.istio.io/waypoint-inbound-binding')
  .replace('  listeners:', '  addresses: [{type: IPAddress, value: 10.96.0.9}]\n  listeners:');

const denying = (app: string, account: string, more = ''): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec:
  action: DENY
  selector: {matchLabels: {app: ${app}}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/${account}]}}]
${more}
`;
const ASKED = { source: 'shop/client-1', destination: 'reviews' } as const;

describe('explain, through a waypoint behind its agent', () => {
  it('hands the caller over, and judges the proxy at the destination', () => {
    const { verdict, hop } = explain(ASKED, snapshotOf(SHOP, FRONT, BEHIND));
    const text = JSON.stringify(hop);
    assert.equal(verdict, 'allowed');
    assert.match(text, /hands it over to a proxy that is not of this mesh/);
    assert.doesNotMatch(text, /of another mesh|decided by the waypoint/);
  });

  for (const [what, policy, verdict, said] of [
    ['its agent', denying('front', 'client'), 'refused', /AuthorizationPolicy\/shop\/deny/],
    ['no policy on others', denying('front', 'other'), 'allowed', /hands it over/],
    ['a policy on the proxy', denying('reviews', 'waypoint'), 'refused', /the caller here is/],
    [
      'the guard, where a policy needs the request',
      denying('reviews', 'other', '    to: [{operation: {methods: [POST]}}]'),
      'refused',
      /is guarded, because of AuthorizationPolicy\/shop\/deny/,
    ],
  ] as const) {
    it(`says ${verdict} by ${what}`, () => {
      const found = explain(ASKED, snapshotOf(SHOP, FRONT, BEHIND, policy));
      assert.equal(found.verdict, verdict);
      assert.match(JSON.stringify(found.hop), said);
    });
  }

  it('refuses a plaintext client of the port for headers', () => {
    const mesh = snapshotOf(SHOP, FRONT, BEHIND);
    const at = (port: number) =>
      explain({ source: 'old/legacy', destination: '10.0.0.9', port }, mesh);
    assert.equal(at(15_088).verdict, 'refused');
    assert.match(JSON.stringify(at(15_088).hop), /could claim to be anybody/);
    assert.equal(at(8080).verdict, 'allowed');
  });

  const OTHER = `${BEHIND.replace(/annotations: \{[^}]*\}, /, '').replace('istio-waypoint', 'other')}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: example.com/proxies}
`;
  for (const [binding, verdict, said] of [
    ['PROXY/15088', 'allowed', /hands it over/],
    ['proxy/15088', 'refused', /InvalidBinding.*GatewayClass\/other/],
    ['', 'refused', /InvalidBinding/],
  ] as const) {
    it(`says ${verdict} where its class says "${binding}", as its agent does`, () => {
      const { verdict: found, hop } = explain(ASKED, boundSnapshotOf(binding, SHOP, FRONT, OTHER));
      assert.equal(found, verdict);
      assert.match(JSON.stringify(hop), said);
    });
  }
});

describe('explain, with a namespace of digits', () => {
  const NUMBERED = `${SHOP}
---
apiVersion: v1
kind: Namespace
metadata: {name: "2024", labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint, istio.io/use-waypoint-namespace: shop}}
${serviceYaml('reviews', '10.96.0.7').replace('namespace: shop', 'namespace: "2024"')}
${podYaml('reviews-1', '10.0.0.77', { namespace: '"2024"' })}`;
  const ALL = GATEWAY.replace('HBONE}', 'HBONE, allowedRoutes: {namespaces: {from: All}}}');
  it('takes a short name for its Host, as the waypoint does', () => {
    const snapshot = snapshotOf(NUMBERED, ALL, WAYPOINT);
    const question = { source: 'shop/client-1', destination: 'reviews.2024', path: '/' };
    assert.equal(explain(question, snapshot).verdict, 'allowed');
  });
});
