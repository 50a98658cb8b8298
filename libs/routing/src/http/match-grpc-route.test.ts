import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { GRPCRoute, GrpcRouteRule } from '@ambit/api';

import { httpRoute, meta, request, routeInput, routeRule } from '../testing-objects.ts';
import { compileHttpRoutes } from './compile.ts';
import { matchHttp } from './match.ts';

function grpcRule(name: string, overrides: Partial<GrpcRouteRule> = {}): GrpcRouteRule {
  const { filters, backendRefs } = routeRule('reviews-v1');
  return { name, matches: [], filters, backendRefs, ...overrides };
}

function method(service?: string, call?: string, type: 'Exact' | 'RegularExpression' = 'Exact') {
  const names = {
    ...(service === undefined ? {} : { service }),
    ...(call === undefined ? {} : { method: call }),
  };
  return { matches: [{ method: { type, ...names }, headers: [] }] };
}

function grpcRoute(
  rules: readonly GrpcRouteRule[],
  { port, namespace = 'shop' }: { readonly port?: number; readonly namespace?: string } = {},
): GRPCRoute {
  const { apiVersion, spec } = httpRoute([], port === undefined ? {} : { port });
  const metadata = { ...meta('calls'), namespace };
  return { kind: 'GRPCRoute', apiVersion, metadata, spec: { ...spec, rules } };
}

function nameOf(
  input: Parameters<typeof routeInput>[0],
  path: string,
  more: Parameters<typeof request>[0] = {},
): string {
  const view = request({ method: 'POST', path, port: 80, ...more });
  const decision = matchHttp(compileHttpRoutes(routeInput(input)), view);
  return decision.kind === 'no-route' ? `${decision.status} ${decision.flag}` : decision.routeName;
}

describe('GRPCRoute', () => {
  const rules = [
    grpcRule('pattern', method('shop\\..+', 'L.*', 'RegularExpression')),
    grpcRule('any-get', method(undefined, 'Get')),
    grpcRule('service', method('shop.Reviews')),
    grpcRule('call', method('shop.Reviews', 'Get')),
    grpcRule('beta', {
      matches: [
        {
          method: { type: 'Exact', service: 'shop.Reviews', method: 'Get' },
          headers: [{ type: 'Exact', name: 'x-beta', value: '1' }],
        },
      ],
    }),
  ];
  const grpcRoutes = [grpcRoute(rules)];
  const cases: readonly (readonly [
    path: string,
    headers: Readonly<Record<string, string>>,
    string,
  ])[] = [
    ['/shop.Reviews/Get', {}, 'call'],
    ['/shop.Reviews/Get', { 'x-beta': '1' }, 'beta'],
    ['/shop.Reviews/Other', {}, 'service'],
    ['/shop.Ratings/Get', {}, 'any-get'],
    ['/shop.Ratings/List', {}, 'pattern'],
    ['/shop.Ratings/XList', {}, '404 NR'],
    ['/shop.ReviewsX/Other', {}, '404 NR'],
    ['/a/b/Get', {}, '404 NR'],
  ];
  for (const [path, headers, expected] of cases) {
    it(`sends ${path} ${JSON.stringify(headers)} to ${expected}`, () => {
      assert.equal(nameOf({ grpcRoutes }, path, { headers }), expected);
    });
  }

  it('takes every call without matches', () => {
    assert.equal(nameOf({ grpcRoutes: [grpcRoute([grpcRule('all')])] }, '/a.B/C'), 'all');
  });

  it('answers 503, which is UNAVAILABLE, where there is no backend', () => {
    const table = compileHttpRoutes(
      routeInput({ grpcRoutes: [grpcRoute([grpcRule('none', { backendRefs: [] })])] }),
    );
    const decision = matchHttp(table, request({ path: '/a.B/C', port: 80 }));
    assert.ok(decision.kind === 'route');
    const [target] = decision.action.clusters.map((cluster) => cluster.target);
    assert.ok(target?.kind === 'invalid');
    assert.equal(target.status, 503);
  });

  it('says of which object and rule a decision is', () => {
    const table = compileHttpRoutes(routeInput({ grpcRoutes }));
    const view = request({ path: '/shop.Reviews/Get', port: 80 });
    const decision = matchHttp(table, view);
    assert.ok(decision.kind === 'route');
    assert.deepEqual(decision.rule?.origin, {
      object: 'GRPCRoute/shop/calls',
      path: 'spec.rules[3].matches[0]',
    });
  });

  it('goes before HTTPRoutes at its ports, and leaves them the others', () => {
    const httpRoutes = [httpRoute([routeRule('reviews', { name: 'http' })])];
    const everywhere = { httpRoutes, grpcRoutes: [grpcRoute([grpcRule('grpc', method('a.B'))])] };
    assert.equal(nameOf(everywhere, '/a.B/C'), 'grpc');
    assert.equal(nameOf(everywhere, '/x'), '404 NR');
    const at80 = {
      httpRoutes,
      grpcRoutes: [grpcRoute([grpcRule('grpc', method('a.B'))], { port: 80 })],
    };
    assert.equal(nameOf(at80, '/a.B/C'), 'grpc');
    assert.equal(nameOf(at80, '/x'), '404 NR');
    assert.equal(nameOf(at80, '/x', { port: 81 }), 'http');
  });

  it('drops HTTPRoutes that are left no port', () => {
    const httpRoutes = [httpRoute([routeRule('reviews', { name: 'http' })], { port: 80 })];
    const input = { httpRoutes, grpcRoutes: [grpcRoute([grpcRule('grpc')], { port: 80 })] };
    assert.equal(nameOf(input, '/x'), 'grpc');
    assert.equal(nameOf(input, '/x', { port: 81 }), 'default');
  });

  it('of another namespace is for callers of that namespace', () => {
    const input = { grpcRoutes: [grpcRoute([grpcRule('consumer')], { namespace: 'client' })] };
    assert.equal(nameOf(input, '/a.B/C'), 'default');
    assert.equal(
      nameOf(input, '/a.B/C', { source: { ip: '10.0.0.1', namespace: 'client', labels: {} } }),
      'consumer',
    );
  });
});
