/** What a tenant's route makes of a request is judged as its waypoint judges it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explain } from './explain.ts';
import { GATEWAY, podYaml, SHOP, snapshotOf, WAYPOINT } from './testing.ts';

const TENANT = `
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {istio.io/dataplane-mode: ambient}}
${podYaml('stranger', '10.0.0.31', { namespace: 'other' })}
`;
const policy = (rule: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [${rule}]
`;
const PUBLIC = '{to: [{operation: {paths: [/public/*]}}]}';
const route = (namespace: string, filter: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ${namespace}}
spec:
  parentRefs: [{group: "", kind: Service, name: reviews, namespace: shop}]
  rules:
  - filters: [${filter}]
    backendRefs: [{name: reviews, namespace: shop, port: 80}]
`;
const path = (to: string): string =>
  `{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: '${to}'}}}`;
const modifier = (operations: string): string =>
  `{type: RequestHeaderModifier, requestHeaderModifier: {${operations}}}`;
const header = (name: string, value: string): string =>
  `{when: [{key: 'request.headers[${name}]', values: ['${value}']}]}`;

describe('explain, of what a route makes of a request', () => {
  for (const [what, rule, filter, expected] of [
    ['a path', PUBLIC, path('/admin'), /none allowed: shop\/reviews/],
    ['a path that is not clear', PUBLIC, path('/public/%2e%2e/admin'), /is not clear/],
    [
      'a host',
      '{to: [{operation: {hosts: [reviews.shop]}}]}',
      '{type: URLRewrite, urlRewrite: {hostname: admin.example}}',
      /none allowed: shop\/reviews/,
    ],
    [
      'a header that is set',
      header('x-tier', 'free'),
      modifier("set: [{name: x-tier, value: '%REQ(x-want?:path)%'}]"),
      /none allowed: shop\/reviews/,
    ],
    [
      'a value that is added',
      header('x-tier', 'free'),
      modifier('add: [{name: x-tier, value: paid}]'),
      /none allowed: shop\/reviews/,
    ],
    [
      'a header that is taken out',
      header('x-tier', 'free'),
      modifier('remove: [x-tier]'),
      /none allowed: shop\/reviews/,
    ],
    ['another path that is allowed', PUBLIC, path('/public/b'), undefined],
    [
      'a header of the same value',
      header('x-tier', 'free'),
      modifier("set: [{name: x-tier, value: '%REQ(x-tier)%'}]"),
      undefined,
    ],
  ] as const) {
    it(`asks policies of other namespaces: ${what}`, () => {
      const asked = {
        source: 'other/stranger',
        destination: 'reviews.shop',
        path: '/public/a',
        headers: { 'x-tier': 'free' },
      };
      const whole = [SHOP, WAYPOINT, GATEWAY, TENANT, policy(rule)];
      const own = explain(asked, snapshotOf(...whole, route('shop', filter)));
      assert.equal(own.verdict, 'allowed', 'by a route of its own namespace');
      const { verdict, text } = explain(asked, snapshotOf(...whole, route('other', filter)));
      assert.equal(verdict, expected === undefined ? 'allowed' : 'refused');
      assert.match(text, expected ?? /./);
    });
  }
});

const DB = `
apiVersion: v1
kind: Service
metadata:
  name: db
  namespace: other
  labels: {istio.io/use-waypoint: waypoint, istio.io/use-waypoint-namespace: shop}
spec: {clusterIPs: [10.96.0.66], clusterIP: 10.96.0.66, ports: [{name: http, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: other}
spec:
  parentRefs: [{group: "", kind: Service, name: db}]
  rules: [{backendRefs: [{name: reviews, namespace: shop, port: 80}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: all, namespace: other}
spec:
  targetRefs: [{group: "", kind: Service, name: db}]
  rules: [{}]
`;

describe('explain, of an ALLOW of the service that a route leads away from', () => {
  for (const [what, rule, expected] of [
    ['refused', '{from: [{source: {namespaces: [shop]}}]}', /none allowed: shop\/reviews/],
    ['allowed', '{from: [{source: {namespaces: [other]}}]}', undefined],
  ] as const) {
    it(`says that a caller is ${what} by what the endpoint’s own policies say`, () => {
      const gateway = GATEWAY.replace(
        'protocol: HBONE',
        'protocol: HBONE, allowedRoutes: {namespaces: {from: All}}',
      );
      const mesh = snapshotOf(SHOP, WAYPOINT, gateway, TENANT, DB, policy(rule));
      const asked = { source: 'other/stranger', destination: 'db.other', path: '/' };
      const { verdict, text } = explain(asked, mesh);
      assert.equal(verdict, what, text);
      assert.match(text, expected ?? /reaches 10\.0\.0\.11:8080/);
    });
  }
});
