import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  httpRoute,
  meta,
  request,
  routeInput,
  routeMatch,
  routeRule,
  toSubset,
  virtualService,
} from '../testing-objects.ts';
import { compileHttpRoutes } from './compile.ts';
import { matchHttp } from './match.ts';
import type { HttpRequestView } from './request.ts';
import { hasSegmentPrefix } from './string-match.ts';

function prefix(value: string) {
  return routeMatch({ type: 'PathPrefix', value });
}

function nameOf(input: Partial<Parameters<typeof routeInput>[0]>, view: HttpRequestView): string {
  const decision = matchHttp(compileHttpRoutes(routeInput(input)), view);
  return decision.kind === 'no-route' ? `${decision.status} ${decision.flag}` : decision.routeName;
}

describe('hasSegmentPrefix', () => {
  for (const [path, value, expected] of [
    ['/v2', '/v2', true],
    ['/v2/', '/v2', true],
    ['/v2/x', '/v2', true],
    ['/v2', '/v2/', true],
    ['/v2example', '/v2', false],
    ['/v', '/v2', false],
    ['/', '/', true],
    ['/anything', '/', true],
  ] as const) {
    it(`${path} ${expected ? 'has' : 'lacks'} ${value}`, () => {
      assert.equal(hasSegmentPrefix(path, value), expected);
    });
  }

  it('implies the plain prefix, and holds for every continuation by a segment', () => {
    const segment = fc.stringMatching(/^[a-z0-9]{1,6}$/);
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), segment, (parts, more) => {
        const base = `/${parts.join('/')}`;
        assert.ok(hasSegmentPrefix(`${base}/${more}`, base));
        assert.ok(!hasSegmentPrefix(`${base}${more}`, base));
      }),
    );
  });
});

describe('percent-encoding in an HTTPRoute', () => {
  for (const type of ['Exact', 'PathPrefix', 'RegularExpression'] as const) {
    it(`is one however it is spelled: ${type}`, () => {
      const matches = [routeMatch({ type, value: '/caf%c3%a9' })];
      const routes = [routeRule('reviews', { name: 'cafe', matches })];
      assert.equal(
        nameOf({ httpRoutes: [httpRoute(routes)] }, request({ path: '/caf%C3%A9' })),
        'cafe',
      );
    });
  }
});

describe('matchHttp with HTTPRoutes', () => {
  const rules = [
    routeRule('reviews', { name: 'all', matches: [prefix('/')] }),
    routeRule('reviews', {
      name: 'regex',
      matches: [routeMatch({ type: 'RegularExpression', value: '/.*\\.png' })],
    }),
    routeRule('reviews', { name: 'short', matches: [prefix('/a')] }),
    routeRule('reviews', { name: 'long', matches: [prefix('/a/b/')] }),
    routeRule('reviews', {
      name: 'exact',
      matches: [routeMatch({ type: 'Exact', value: '/a/b' })],
    }),
    routeRule('reviews', {
      name: 'method',
      matches: [routeMatch({ type: 'PathPrefix', value: '/a' }, { method: 'POST' })],
    }),
    routeRule('reviews', {
      name: 'headers',
      matches: [
        routeMatch(
          { type: 'PathPrefix', value: '/a' },
          { headers: [{ type: 'Exact', name: 'X-A', value: '1' }] },
        ),
      ],
    }),
    routeRule('reviews', {
      name: 'utf8',
      matches: [
        routeMatch(
          { type: 'PathPrefix', value: '/' },
          {
            headers: [
              { type: 'Exact', name: 'X-U', value: '\u00e9' },
              { type: 'RegularExpression', name: 'X-R', value: '\u00e9.' },
            ],
          },
        ),
      ],
    }),
    routeRule('reviews', {
      name: 'query',
      matches: [
        routeMatch(
          { type: 'PathPrefix', value: '/a' },
          { queryParams: [{ type: 'Exact', name: 'q', value: '1' }] },
        ),
      ],
    }),
  ];
  const httpRoutes = [httpRoute(rules)];

  for (const [name, view] of [
    ['exact', request({ path: '/a/b' })],
    ['long', request({ path: '/a/b/c' })],
    ['short', request({ path: '/a/x' })],
    ['all', request({ path: '/abc' })],
    ['regex', request({ path: '/x.png' })],
    ['short', request({ path: '/a/x.png' })],
    ['method', request({ path: '/a', method: 'POST', headers: { 'x-a': '1' }, query: 'q=1' })],
    ['headers', request({ path: '/a', headers: { 'x-a': '1' }, query: 'q=1' })],
    ['utf8', request({ path: '/u', headers: { 'x-u': '\xc3\xa9', 'x-r': '\xc3\xa9\xc3\xa9' } })],
    ['all', request({ path: '/u', headers: { 'x-u': '\xe9', 'x-r': '\xe9\xe9' } })],
    ['query', request({ path: '/a', query: 'q=1' })],
    ['exact', request({ path: '/a/b', method: 'POST' })],
  ] as const) {
    it(`${view.method} ${view.path} meets "${name}"`, () => {
      assert.equal(nameOf({ httpRoutes }, view), name);
    });
  }

  it('breaks ties by age, then name, then the order written', () => {
    const same = (name: string, age: number, ruleName: string) =>
      httpRoute([routeRule('reviews', { name: ruleName })], {
        meta: meta(name, { creationTimestampMs: age }),
      });
    const young = same('a', 2, 'young');
    const old = same('z', 1, 'old');
    const alsoOld = same('b', 1, 'b');
    assert.equal(nameOf({ httpRoutes: [young, old, alsoOld] }, request()), 'b');
    const twice = httpRoute([
      routeRule('reviews', { name: 'first' }),
      routeRule('reviews', { name: 'second' }),
    ]);
    assert.equal(nameOf({ httpRoutes: [twice] }, request()), 'first');
  });

  it('beats VirtualServices on its ports only', () => {
    const input = {
      httpRoutes: [httpRoute([routeRule('reviews', { name: 'gateway' })], { port: 80 })],
      virtualServices: [virtualService([toSubset('v1', { name: 'vs' })])],
    };
    assert.equal(nameOf(input, request({ port: 80 })), 'gateway');
    assert.equal(nameOf(input, request({ port: 81 })), 'vs');
  });

  it('takes the default away: no rule, no service', () => {
    const only = httpRoute([routeRule('reviews', { matches: [prefix('/only')] })]);
    assert.equal(nameOf({ httpRoutes: [only] }, request({ path: '/other' })), '404 NR');
    const ported = httpRoute([routeRule('reviews', { name: 'p' })], { port: 80 });
    assert.equal(nameOf({ httpRoutes: [ported] }, request({ port: 81 })), 'default');
  });

  it('gives callers of another namespace their own routes, and nobody else', () => {
    const consumer = httpRoute([routeRule('reviews-v2', { name: 'consumer' })], {
      meta: meta('mine', { namespace: 'other' }),
    });
    const producer = httpRoute([routeRule('reviews', { name: 'producer' })]);
    const from = (namespace: string) => request({ source: { namespace, ip: '10.0.0.1' } });
    const input = { httpRoutes: [consumer, producer] };
    assert.equal(nameOf(input, from('other')), 'consumer');
    assert.equal(nameOf(input, from('shop')), 'producer');
    assert.equal(nameOf(input, from('third')), 'producer');
    assert.equal(nameOf({ httpRoutes: [consumer] }, from('third')), 'default');
  });

  for (const [title, rule, expected] of [
    ['a backend that does not exist', routeRule('nobody'), '500 -'],
    ['no backend', routeRule('reviews', { backendRefs: [] }), '500 -'],
    [
      'a backend without port',
      routeRule('many', {
        backendRefs: [{ group: '', kind: 'Service', name: 'many', weight: 1, filters: [] }],
      }),
      '500 -',
    ],
    [
      'a backend of an unknown kind',
      routeRule('x', {
        backendRefs: [{ group: 'x.io', kind: 'Bucket', name: 'x', weight: 1, filters: [] }],
      }),
      '500 -',
    ],
  ] as const) {
    it(`answers the share of ${title} with ${expected}`, () => {
      const table = compileHttpRoutes(routeInput({ httpRoutes: [httpRoute([rule])] }));
      const decision = matchHttp(table, request());
      assert.equal(decision.kind, 'route');
      const target = decision.kind === 'route' ? decision.action.clusters[0]?.target : undefined;
      assert.equal(target?.kind === 'invalid' && `${target.status} ${target.flag}`, expected);
    });
  }

  it('ignores routes whose parent is another service, kind or port', () => {
    const base = httpRoute([routeRule('reviews')]);
    const [parent] = base.spec.parentRefs;
    assert.ok(parent !== undefined);
    for (const changed of [
      { ...parent, name: 'ratings' },
      { ...parent, namespace: 'other' },
      { ...parent, kind: 'Gateway', group: 'gateway.networking.k8s.io' },
      { ...parent, port: 9999 },
    ]) {
      const route = { ...base, spec: { ...base.spec, parentRefs: [changed] } };
      assert.equal(nameOf({ httpRoutes: [route] }, request()), 'default');
    }
  });
});
