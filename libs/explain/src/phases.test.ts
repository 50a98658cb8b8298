/** What a waypoint does to a request is told under the phases of its engine, in their order; a connection has none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PHASES, type PhaseName } from '@ambit/routing';
import { explain } from './explain.ts';
import { renderExplanation } from './render.ts';
import { GATEWAY, podYaml, SHOP, serviceYaml, snapshotOf, WAYPOINT } from './testing.ts';
import type { ExplainQuery, Hop } from './types.ts';

const ROUTES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}
  - match: [{uri: {prefix: /ratings}}]
    route: [{destination: {host: ratings}}]
  - match: [{uri: {prefix: /none}}]
    route: [{destination: {host: reviews, subset: none}}]
  - match: [{uri: {prefix: /v1}}]
    rewrite: {uri: /}
    fault: {delay: {percentage: {value: 10}, fixedDelay: 5s}}
    mirror: {host: ratings}
    route: [{destination: {host: reviews}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ratings, namespace: shop}
spec:
  action: DENY
  selector: {matchLabels: {app: ratings}}
  rules: [{to: [{operation: {methods: [GET]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{to: [{operation: {methods: [GET]}}]}]
`;
const mesh = snapshotOf(
  SHOP,
  WAYPOINT,
  GATEWAY,
  ROUTES,
  podYaml('ratings-1', '10.0.0.31'),
  serviceYaml('ratings', '10.96.0.3'),
  podYaml('db-1', '10.0.0.41'),
  serviceYaml('db', '10.96.0.4', '{name: tcp, port: 5432, targetPort: 5432}'),
);

function hopOf(query: Partial<ExplainQuery>): Hop {
  return explain({ source: 'client', destination: 'reviews', namespace: 'shop', ...query }, mesh)
    .hop;
}

/** Of each way to an end, those that are named, each once. */
function phasesOf(hop: Hop, before: readonly PhaseName[] = []): readonly (readonly PhaseName[])[] {
  const own = [...hop.steps, ...(hop.end === undefined ? [] : [hop.end])];
  const named = own.flatMap(({ phase }) => (phase === undefined ? [] : [phase]));
  const all = [...before, ...named].filter((phase, at, list) => phase !== list[at - 1]);
  return hop.end === undefined ? hop.next.flatMap((way) => phasesOf(way.hop, all)) : [all];
}

describe('phases of an explanation', () => {
  const begin = ['accept', 'authenticate', 'authorise'] as const;
  const cases: readonly [string, Partial<ExplainQuery>, readonly PhaseName[]][] = [
    ['a method that is none', { method: 'post' }, ['accept', 'decode']],
    ['a method that is not served', { method: 'CONNECT' }, ['accept', 'normalise']],
    ['what policy refuses', { method: 'POST' }, begin],
    ['what no rule matches', { path: '/nowhere' }, [...begin, 'route']],
    ['a redirect', { path: '/old' }, [...begin, 'route', 'answer']],
    ['a subset that nobody defines', { path: '/none' }, [...begin, 'route', 'forward']],
    ['a policy of the endpoint', { path: '/ratings' }, [...begin, 'route', 'forward']],
    ['what goes on', { path: '/v1/a' }, [...begin, 'route', 'fault', 'forward']],
    ['a pod, that no rule is about', { destination: 'reviews-v1', port: 8080 }, begin],
    ['a connection', { destination: 'db' }, []],
    ['what leaves the mesh', { destination: 'example.org', port: 443, path: '/' }, []],
  ];
  for (const [title, query, expected] of cases) {
    it(`${title}: ${expected.join(', ') || 'none'}`, () => {
      const ways = phasesOf(hopOf(query));
      assert.ok(ways.length > 0);
      const names = PHASES.map(({ name }) => name);
      for (const phases of ways) {
        assert.deepEqual(phases, expected);
        const places = phases.map((phase) => names.indexOf(phase));
        assert.deepEqual(
          places,
          [...places].sort((a, b) => a - b),
          'in the order of the table',
        );
      }
    });
  }

  it('are data and text', () => {
    const query = { source: 'client', destination: 'reviews', namespace: 'shop', path: '/nowhere' };
    const explanation = explain(query, mesh);
    assert.equal(explanation.hop.next[0]?.hop.end?.phase, 'route');
    assert.match(
      renderExplanation(explanation),
      /✗ refused: .* \(status 404, flag NR, phase route\)/,
    );
  });
});
