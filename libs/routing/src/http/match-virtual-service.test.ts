import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HttpMatchRequest } from '@ambit/api';
import {
  httpRule,
  matchBlock,
  meta,
  request,
  routeInput,
  toSubset,
  virtualService,
} from '../testing-objects.ts';
import { compileHttpRoutes } from './compile.ts';
import { matchHttp } from './match.ts';
import type { HttpRequestView } from './request.ts';

/** Whether a VirtualService whose only rule has this match takes the request. */
function takes(match: Partial<HttpMatchRequest>, view: HttpRequestView): boolean {
  const table = compileHttpRoutes(
    routeInput({
      virtualServices: [virtualService([toSubset('v2', { match: [matchBlock(match)] })])],
    }),
  );
  return matchHttp(table, view).kind === 'route';
}

const cases: readonly [string, Partial<HttpMatchRequest>, HttpRequestView, boolean][] = [
  ['an empty block', {}, request(), true],
  ['an exact path', { uri: { exact: '/a' } }, request({ path: '/a' }), true],
  ['an exact path, longer', { uri: { exact: '/a' } }, request({ path: '/a/' }), false],
  ['a plain prefix', { uri: { prefix: '/foo' } }, request({ path: '/foobar' }), true],
  ['a prefix of another case', { uri: { prefix: '/foo' } }, request({ path: '/FOO' }), false],
  ['escapes as they came', { uri: { exact: '/%c3%a9' } }, request({ path: '/%C3%A9' }), true],
  ['a prefix of escapes', { uri: { prefix: '/%c3' } }, request({ path: '/%C3%A9' }), true],
  ['a prefix of half an escape', { uri: { prefix: '/%c' } }, request({ path: '/%C3' }), true],
  ['a regex of escapes', { uri: { regex: '/%c3.*' } }, request({ path: '/%C3%A9' }), true],
  [
    'a prefix, case ignored',
    { uri: { prefix: '/foo' }, ignoreUriCase: true },
    request({ path: '/FOO/x' }),
    true,
  ],
  [
    'a regex, where ignoring case has no effect',
    { uri: { regex: '/foo.*' }, ignoreUriCase: true },
    request({ path: '/FOO' }),
    false,
  ],
  ['a regex that is not the whole', { uri: { regex: '/fo' } }, request({ path: '/foo' }), false],
  ['a regex that is the whole', { uri: { regex: '/fo+' } }, request({ path: '/foo' }), true],
  ['a regex that RE2 refuses', { uri: { regex: '(?=a)' } }, request({ path: '/a' }), false],
  ['a method', { method: { exact: 'GET' } }, request({ method: 'GET' }), true],
  ['a method in lower case', { method: { exact: 'GET' } }, request({ method: 'get' }), false],
  [
    'an authority with port',
    { authority: { exact: 'reviews:80' } },
    request({ authority: 'reviews:80' }),
    true,
  ],
  [
    'an authority without its port',
    { authority: { exact: 'reviews' } },
    request({ authority: 'reviews:80' }),
    false,
  ],
  ['a scheme', { scheme: { exact: 'https' } }, request(), false],
  [
    'a header by value',
    { headers: { Canary: { exact: 'true' } } },
    request({ headers: { canary: 'true' } }),
    true,
  ],
  [
    'a header in UTF-8',
    { headers: { name: { exact: 'caf\u00e9' } } },
    request({ headers: { name: 'caf\xc3\xa9' } }),
    true,
  ],
  [
    'a header in another encoding',
    { headers: { name: { exact: 'caf\u00e9' } } },
    request({ headers: { name: 'caf\xe9' } }),
    false,
  ],
  [
    'a header without what it has in UTF-8',
    { withoutHeaders: { name: { prefix: 'caf\u00e9' } } },
    request({ headers: { name: 'caf\xc3\xa9s' } }),
    false,
  ],
  ['an absent header', { headers: { canary: { exact: 'true' } } }, request(), false],
  ['an absent header, exact ""', { headers: { canary: { exact: '' } } }, request(), false],
  [
    'a present header, empty',
    { headers: { canary: { present: true } } },
    request({ headers: { canary: '' } }),
    true,
  ],
  ['a present header, absent', { headers: { canary: { regex: '*' } } }, request(), false],
  ['header names of the request line', { headers: { method: { exact: 'X' } } }, request(), true],
  [
    'without, exact, and the header is absent',
    { withoutHeaders: { user: { exact: 'jason' } } },
    request(),
    true,
  ],
  [
    'without, exact, and it is that',
    { withoutHeaders: { user: { exact: 'jason' } } },
    request({ headers: { user: 'jason' } }),
    false,
  ],
  [
    'without, regex .*, and absent',
    { withoutHeaders: { user: { regex: '.*' } } },
    request(),
    false,
  ],
  ['without, presence, and absent', { withoutHeaders: { user: { regex: '*' } } }, request(), true],
  [
    'without, presence, and empty',
    { withoutHeaders: { user: { present: true } } },
    request({ headers: { user: '' } }),
    false,
  ],
  ['a query value', { queryParams: { v: { exact: '2' } } }, request({ query: 'a=1&v=2' }), true],
  [
    'the first of a repeated key',
    { queryParams: { v: { exact: '2' } } },
    request({ query: 'v=1&v=2' }),
    false,
  ],
  [
    'a query key with exact ""',
    { queryParams: { v: { exact: '' } } },
    request({ query: 'v=9' }),
    true,
  ],
  [
    'an encoded query value',
    { queryParams: { v: { exact: 'a b' } } },
    request({ query: 'v=a%20b' }),
    true,
  ],
  [
    'a query key that is absent',
    { queryParams: { v: { prefix: '' } } },
    request({ query: 'w=1' }),
    false,
  ],
  ['the port', { port: 80 }, request({ port: 80 }), true],
  ['another port', { port: 80 }, request({ port: 81 }), false],
  ['the source namespace', { sourceNamespace: 'shop' }, request(), true],
  ['another source namespace', { sourceNamespace: 'prod' }, request(), false],
  [
    'the source namespace, unknown',
    { sourceNamespace: 'shop' },
    request({ source: { ip: '10.0.0.9' } }),
    false,
  ],
  ['source labels', { sourceLabels: { app: 'productpage' } }, request(), true],
  ['other source labels', { sourceLabels: { app: 'productpage', v: '1' } }, request(), false],
  [
    'source labels of an unknown caller',
    { sourceLabels: { app: 'productpage' } },
    request({ source: { ip: '10.0.0.9' } }),
    false,
  ],
  [
    'source labels beside gateways, which are not looked at',
    { sourceLabels: { app: 'x' }, gateways: ['mesh'] },
    request(),
    true,
  ],
  ['a block of another gateway', { gateways: ['shop/edge'] }, request(), true],
  [
    'all conditions of a block',
    { uri: { prefix: '/a' }, method: { exact: 'POST' } },
    request({ path: '/a' }),
    false,
  ],
];

describe('matchHttp with a VirtualService', () => {
  for (const [title, match, view, expected] of cases) {
    it(`${expected ? 'takes' : 'leaves'} ${title}`, () =>
      assert.equal(takes(match, view), expected));
  }

  it('tries rules as written, and names the one that won', () => {
    const table = compileHttpRoutes(
      routeInput({
        virtualServices: [
          virtualService([
            toSubset('v2', {
              name: 'canary',
              match: [
                matchBlock({ headers: { canary: { exact: 'true' } } }),
                matchBlock({ name: 'b', uri: { exact: '/b' } }),
              ],
            }),
            toSubset('v1', { name: 'stable' }),
            toSubset('v3', { match: [matchBlock({ uri: { exact: '/dead' } })] }),
          ]),
        ],
      }),
    );
    for (const [view, name, path] of [
      [request({ headers: { canary: 'true' } }), 'canary', 'spec.http[0].match[0]'],
      [request({ path: '/b' }), 'canary.b', 'spec.http[0].match[1]'],
      [request({ path: '/dead' }), 'stable', 'spec.http[1]'],
    ] as const) {
      const decision = matchHttp(table, view);
      assert.equal(decision.kind, 'route', path);
      if (decision.kind !== 'route') return;
      assert.equal(decision.routeName, name);
      assert.deepEqual(decision.rule?.origin, { object: 'VirtualService/shop/reviews', path });
    }
  });

  it('answers 404 NR when rules exist and none holds', () => {
    const table = compileHttpRoutes(
      routeInput({
        virtualServices: [virtualService([toSubset('v1', { match: [matchBlock({ port: 9 })] })])],
      }),
    );
    const decision = matchHttp(table, request());
    assert.equal(decision.kind, 'no-route');
    if (decision.kind !== 'no-route') return;
    assert.deepEqual([decision.status, decision.flag, decision.tried.length], [404, 'NR', 1]);
  });

  it('goes to the service itself when no object concerns it', () => {
    for (const virtualServices of [
      [],
      [virtualService([toSubset('v1')], { spec: { hosts: ['ratings'] } })],
      [virtualService([toSubset('v1')], { spec: { gateways: ['edge'] } })],
      [virtualService([toSubset('v1')], { meta: meta('x', { namespace: 'other' }) })],
      [virtualService([])],
    ]) {
      const decision = matchHttp(compileHttpRoutes(routeInput({ virtualServices })), request());
      assert.equal(decision.kind, 'route');
      assert.equal(decision.kind === 'route' && decision.routeName, 'default');
    }
  });

  it('is seen by callers of the namespaces in exportTo, others meet the plain service', () => {
    const object = virtualService([toSubset('v2', { name: 'own' })], { spec: { exportTo: ['.'] } });
    const table = compileHttpRoutes(routeInput({ virtualServices: [object] }));
    const own = matchHttp(table, request());
    const other = matchHttp(table, request({ source: { namespace: 'other', ip: '10.0.0.1' } }));
    assert.equal(own.kind === 'route' && own.routeName, 'own');
    assert.equal(other.kind === 'route' && other.routeName, 'default');
  });

  it('prefers the exact host, and concatenates objects of one host by age', () => {
    const wild = virtualService([toSubset('v3', { name: 'wild' })], {
      meta: meta('wild'),
      spec: { hosts: ['*.shop.svc.cluster.local'] },
    });
    const young = virtualService([toSubset('v2', { name: 'young' })], {
      meta: meta('a', { creationTimestampMs: 2 }),
    });
    const old = virtualService(
      [toSubset('v1', { name: 'old', match: [matchBlock({ uri: { exact: '/old' } })] })],
      { meta: meta('z', { creationTimestampMs: 1 }) },
    );
    const table = compileHttpRoutes(routeInput({ virtualServices: [wild, young, old] }));
    const names = table.virtualServices?.rules.map(({ name }) => name);
    assert.deepEqual(names, ['old', 'young']);
  });
});

describe('destinations of a VirtualService', () => {
  function clusters(route: Parameters<typeof httpRule>[0]) {
    const table = compileHttpRoutes(
      routeInput({ virtualServices: [virtualService([httpRule(route)])] }),
    );
    const decision = matchHttp(table, request());
    assert.equal(decision.kind, 'route');
    return decision.kind === 'route'
      ? decision.action.clusters.map(({ weight, target }) =>
          target.kind === 'cluster'
            ? `${target.cluster.host.split('.')[0]}:${target.cluster.port} ${weight}`
            : `${target.status} ${target.flag}`,
        )
      : [];
  }

  for (const [title, route, expected] of [
    [
      'one entry gets everything',
      [{ destination: { host: 'reviews-v1' }, weight: 0 }],
      ['reviews-v1:80 100'],
    ],
    [
      'entries of 0 leave',
      [
        { destination: { host: 'reviews-v1' }, weight: 0 },
        { destination: { host: 'reviews-v2' }, weight: 5 },
      ],
      ['reviews-v2:80 5'],
    ],
    [
      'an unknown host leaves the split',
      [
        { destination: { host: 'nobody' }, weight: 50 },
        { destination: { host: 'reviews-v2' }, weight: 50 },
      ],
      ['reviews-v2:80 50'],
    ],
    ['an unknown host alone', [{ destination: { host: 'nobody' }, weight: 1 }], ['503 NC']],
    [
      'a port left out of several is the addressed one',
      [{ destination: { host: 'many' }, weight: 1 }],
      ['many:80 100'],
    ],
    [
      'a port that does not exist',
      [{ destination: { host: 'many', port: { number: 9 } }, weight: 1 }],
      ['503 NC'],
    ],
    [
      'a host with a dot is not completed',
      [{ destination: { host: 'reviews-v1.shop' }, weight: 1 }],
      ['503 NC'],
    ],
    ['no destination', [], ['503 NC']],
  ] as const) {
    it(title, () => assert.deepEqual(clusters({ route }), expected));
  }
});
