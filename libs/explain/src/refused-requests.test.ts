/** What a waypoint refuses or answers itself, said as it does it: `meshctl why` had called all of it allowed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { endsOf, explain } from './explain.ts';
import { GATEWAY, SHOP, serviceYaml, snapshotOf, WAYPOINT } from './testing.ts';
import type { ExplainQuery } from './types.ts';

const ROUTES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /v1}}]
    rewrite: {uri: /}
    route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /broken}}]
    fault: {abort: {percentage: {value: 100}, httpStatus: 503}}
    route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /shaky}}]
    fault: {abort: {percentage: {value: 99.99}, httpStatus: 503}}
    route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /grpc}}]
    fault: {abort: {percentage: {value: 100}, grpcStatus: NOT_FOUND}}
    route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /cors}}]
    corsPolicy: {allowOrigins: [{exact: https://a.example}]}
    route: [{destination: {host: reviews}}]
  - route: [{destination: {host: reviews}}]
`;
const PREFLIGHT = {
  method: 'OPTIONS',
  headers: { origin: 'https://a.example', 'access-control-request-method': 'PUT' },
};
const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec:
  action: DENY
  selector: {matchLabels: {app: reviews}}
  rules:
  - to: [{operation: {hosts: [reviews.shop, 10.0.0.11]}}]
`;

const numbered = serviceYaml('"2024"', '10.96.0.7').replaceAll('app: "2024"', 'app: reviews');
const unknown = '{name: web, port: 81, targetPort: 8081}';
const sniffed = serviceYaml('sniffed', '10.96.0.8', unknown).replaceAll(
  'app: sniffed',
  'app: reviews',
);
const routed = snapshotOf(SHOP, WAYPOINT, GATEWAY, ROUTES, numbered, sniffed);
const denied = snapshotOf(SHOP, WAYPOINT, GATEWAY, DENY);

function sumOf(mesh: typeof routed, query: Partial<ExplainQuery>): string {
  const asked = { source: 'client', destination: 'reviews', namespace: 'shop', ...query };
  const { verdict, hop } = explain(asked, mesh);
  const ends = endsOf(hop).map(({ outcome, status, flag, phase }) =>
    [outcome, status, flag, phase].filter((part) => part !== undefined).join(' '),
  );
  return `${verdict}: ${ends.join(' | ')}`;
}

describe('explain, of requests that a waypoint does not send on', () => {
  for (const [title, query, expected] of [
    ['a method', { method: 'PATCH' }, 'allowed: arrives'],
    ['a method of its own', { method: 'X-FETCH' }, 'allowed: arrives'],
    ['a method in small letters', { method: 'post' }, 'refused: refused 400 decode'],
    ['two methods', { method: 'GET,POST' }, 'refused: refused 400 decode'],
    ['CONNECT', { method: 'CONNECT' }, 'refused: refused 405 normalise'],
    ['the path * of OPTIONS', { method: 'OPTIONS', path: '*' }, 'allowed: arrives'],
    ['the path * of GET', { path: '*' }, 'refused: refused 400 decode'],
    ['a Host that is none', { destination: '2024', path: '/' }, 'refused: refused 400 normalise'],
    ['the same, asked for no request', { destination: '2024' }, 'allowed: arrives'],
    [
      'the same with a header',
      { destination: '2024', path: '/', headers: { host: 'a' } },
      'allowed: arrives',
    ],
    [
      'what is not recognised as HTTP',
      { destination: 'sniffed', method: 'post' },
      'allowed: arrives',
    ],
    [
      'CONNECT, which is',
      { destination: 'sniffed', method: 'CONNECT' },
      'refused: refused 405 normalise',
    ],
    ['a rewrite', { path: '/v1/admin' }, 'allowed: arrives'],
    ['a rewrite that leads elsewhere', { path: '/v1../admin' }, 'refused: refused 400 DPE forward'],
    ['a preflight', { ...PREFLIGHT, path: '/cors' }, 'refused: refused 501 cors'],
    ['OPTIONS of another kind', { method: 'OPTIONS', path: '/cors' }, 'allowed: arrives'],
    ['a preflight that no rule is about', { ...PREFLIGHT, path: '/' }, 'allowed: arrives'],
    ['a fault for all', { path: '/broken' }, 'allowed: answered 503 FI fault'],
    ['a fault for nearly all', { path: '/shaky' }, 'allowed: arrives'],
    ['a fault of gRPC', { path: '/grpc' }, 'allowed: answered 200 FI fault'],
    [
      'a fault for a call of gRPC',
      { path: '/broken', headers: { 'content-type': 'application/grpc+proto' } },
      'allowed: answered 200 FI fault',
    ],
  ] as const) {
    it(`${title}: ${expected}`, () => assert.equal(sumOf(routed, query), expected));
  }

  it('says that a fault answers, and with what', () => {
    const asked = { source: 'client', destination: 'reviews', namespace: 'shop', path: '/broken' };
    assert.equal(explain(asked, routed).text, 'answered by the fault with 503');
  });

  it('takes for Host what a client would write', () => {
    for (const [query, expected] of [
      [{ destination: 'shop/reviews', path: '/' }, 'refused: refused 403 authorise'],
      [{ destination: 'reviews.shop', path: '/' }, 'refused: refused 403 authorise'],
      [{ destination: 'reviews', path: '/' }, 'allowed: arrives'],
      [{ destination: 'shop/reviews-v1', port: 8080, path: '/' }, 'refused: refused 403 authorise'],
      [{ destination: 'reviews-v2', port: 8080, path: '/' }, 'allowed: arrives'],
    ] as const) {
      assert.equal(sumOf(denied, query), expected, JSON.stringify(query));
    }
  });
});
