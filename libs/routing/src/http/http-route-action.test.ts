/** What a rule of an HTTPRoute does with a request that it takes: filters, shares, limits of time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HttpRouteRule } from '@ambit/api';
import { httpRoute, request, routeInput, routeMatch, routeRule } from '../testing-objects.ts';
import { compileHttpRoutes } from './compile.ts';
import { matchHttp } from './match.ts';
import type { RouteAction } from './route-table.ts';

const backend = (name: string, weight = 1): HttpRouteRule['backendRefs'][number] => ({
  group: '',
  kind: 'Service',
  name,
  port: 80,
  weight,
  filters: [],
});

function decisionOf(rule: Partial<HttpRouteRule>) {
  const routes = [httpRoute([routeRule('reviews', rule)])];
  const decision = matchHttp(
    compileHttpRoutes(routeInput({ httpRoutes: routes })),
    request({ path: '/old/page' }),
  );
  assert.equal(decision.kind, 'route');
  return decision as Extract<typeof decision, { kind: 'route' }>;
}

const actionOf = (rule: Partial<HttpRouteRule>): RouteAction => decisionOf(rule).action;
const hostsOf = (action: RouteAction): readonly (readonly [string, number])[] =>
  action.clusters.map(({ target, weight }) => [
    target.kind === 'cluster' ? (target.cluster.host.split('.')[0] ?? '') : target.text,
    weight,
  ]);

describe('a rule of an HTTPRoute', () => {
  it('shares by the weights of its backends, and leaves out those of 0', () => {
    const action = actionOf({
      backendRefs: [backend('reviews-v1', 80), backend('reviews-v2', 20), backend('reviews', 0)],
    });
    assert.deepEqual(hostsOf(action), [
      ['reviews-v1', 80],
      ['reviews-v2', 20],
    ]);
  });

  it('changes headers of the request and of the response', () => {
    const filter = {
      set: [{ name: 'X-Set', value: 'a' }],
      add: [{ name: 'x-add', value: 'b' }],
      remove: ['x-gone'],
    };
    const { headers } = decisionOf({
      filters: [
        { type: 'RequestHeaderModifier', requestHeaderModifier: filter },
        { type: 'ResponseHeaderModifier', responseHeaderModifier: { ...filter, add: [] } },
      ],
    });
    const said = (operations: (typeof headers)['request']): readonly string[] =>
      operations.map(({ kind, name }) => `${kind} ${name}`);
    assert.deepEqual(said(headers.request), ['remove x-gone', 'set x-set', 'add x-add']);
    assert.deepEqual(said(headers.response), ['remove x-gone', 'set x-set']);
  });

  it('rewrites the path by segments or whole, and the host', () => {
    const rewritten = actionOf({
      matches: [routeMatch({ type: 'PathPrefix', value: '/old' })],
      filters: [
        {
          type: 'URLRewrite',
          urlRewrite: {
            hostname: 'elsewhere',
            path: { type: 'ReplacePrefixMatch', value: '/new' },
          },
        },
      ],
    });
    assert.deepEqual(
      [rewritten.path, rewritten.authority],
      [{ kind: 'prefix', prefix: '/old', value: '/new', bySegment: true }, 'elsewhere'],
    );
    const whole = actionOf({
      filters: [
        { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplaceFullPath', value: '/all' } } },
      ],
    });
    assert.deepEqual(whole.path, { kind: 'full', value: '/all' });
  });

  it('mirrors by percentage, and not to a backend that does not exist', () => {
    const { mirrors } = actionOf({
      filters: [
        {
          type: 'RequestMirror',
          requestMirror: { backendRef: backend('reviews-v2'), percentage: 40 },
        },
        {
          type: 'RequestMirror',
          requestMirror: { backendRef: backend('nobody'), percentage: 100 },
        },
      ],
    });
    const port = { host: 'reviews-v2.shop.svc.cluster.local', port: 80 };
    assert.deepEqual(mirrors, [{ cluster: port, percentage: 40 }]);
  });

  for (const [title, rule, timeoutMs] of [
    ['the request', { timeouts: { requestMs: 500 } }, 500],
    ['the shorter of both', { timeouts: { requestMs: 500, backendRequestMs: 200 } }, 200],
    ['nothing', {}, undefined],
    ['nothing, said with 0', { timeouts: { requestMs: 0 } }, 0],
  ] as const) {
    it(`limits the time of ${title}`, () => assert.equal(actionOf(rule).timeoutMs, timeoutMs));
  }

  it('retries as often as it says, each try within its own time', () => {
    const { retry, timeoutMs } = actionOf({
      timeouts: { requestMs: 900, backendRequestMs: 200 },
      retry: { attempts: 4, codes: [503] },
    });
    assert.equal(timeoutMs, 900);
    assert.deepEqual(
      [retry?.attempts, retry?.perTryTimeoutMs, retry?.statusCodes.has(503)],
      [4, 200, true],
    );
  });
});
