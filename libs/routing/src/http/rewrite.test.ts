import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileRegex } from '@ambit/api';
import fc from 'fast-check';
import {
  httpRoute,
  httpRule,
  matchBlock,
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
import { pathToSend, redirectLocation, rewritePath } from './rewrite.ts';
import type { PathChange } from './route-table.ts';

describe('rewritePath', () => {
  const compiled = compileRegex('/v(\\d)/(x)');
  assert.ok(compiled.kind === 'ok');
  const regex: PathChange = { kind: 'regex', regex: compiled.regex, rewrite: '/\\2/$\\1' };
  const segments = (prefix: string, value: string): PathChange => ({
    kind: 'prefix',
    prefix,
    value,
    bySegment: true,
  });
  const plain = (prefix: string, value: string): PathChange => ({
    kind: 'prefix',
    prefix,
    value,
    bySegment: false,
  });
  for (const [change, path, expected] of [
    [undefined, '/a', '/a'],
    [{ kind: 'full', value: '/b' }, '/a/x', '/b'],
    [segments('/foo', '/'), '/foo/bar', '/bar'],
    [segments('/foo', '/'), '/foo', '/'],
    [segments('/foo', ''), '/foo', '/'],
    [segments('/foo/', '/xyz/'), '/foo/bar', '/xyz/bar'],
    [segments('/', '/xyz'), '/bar', '/xyz/bar'],
    [segments('/foo', '/xyz'), '/foobar', '/foobar'],
    [plain('/foo', '/xyz'), '/foobar', '/xyzbar'],
    [plain('/foo/', '/'), '/foo/bar', '/bar'],
    [plain('/FOO', '/x'), '/foo/bar', '/x/bar'],
    [plain('/', '/new/'), '/a', '/new/a'],
    [regex, '/v1/x/v2/x', '/x/$1/x/$2'],
  ] as const) {
    it(`makes ${expected} of ${path} by ${change?.kind ?? 'nothing'}`, () => {
      assert.equal(rewritePath(path, change), expected);
    });
  }
});

describe('pathToSend', () => {
  const plain = (prefix: string, value: string): PathChange => ({
    kind: 'prefix',
    prefix,
    value,
    bySegment: false,
  });
  for (const [change, path, sent, isClear] of [
    [plain('/v1', '/'), '/v1../admin', '/../admin', false],
    [plain('/v1', '/'), '/v1.', '/.', false],
    [plain('/v1', ''), '/v1x', 'x', false],
    [plain('/v1', ''), '/v1', '/', true],
    [plain('/v1', '/'), '/v1/a', '//a', true],
    [plain('/v1', '/'), '/v1..a', '/..a', true],
    [plain('/v2', '/'), '/v1/a', '/v1/a', true],
    [{ kind: 'full', value: '/b' }, '/a', '/b', true],
    // What is not rewritten was judged as it is.
    [plain('/v2', '/'), '*', '*', true],
  ] as const) {
    it(`${isClear ? 'sends' : 'sends no'} ${sent} for ${path}`, () => {
      assert.deepEqual(pathToSend(path, change), { path: sent, isClear });
    });
  }
});

describe('replacing a prefix by segments', () => {
  const segment = fc.stringMatching(/^[a-z0-9]{1,5}$/);
  const path = fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`);

  it('is absolute, brings no empty segment, and keeps what came after the prefix', () => {
    fc.assert(
      fc.property(path, path, fc.array(segment, { maxLength: 3 }), (prefix, value, rest) => {
        const base = prefix === '/' ? '' : prefix;
        const full = rest.length === 0 ? prefix : `${base}/${rest.join('/')}`;
        const change: PathChange = { kind: 'prefix', prefix, value, bySegment: true };
        const result = rewritePath(full, change);
        assert.match(result, /^\//);
        assert.ok(!result.includes('//'), result);
        assert.ok(result.endsWith(rest.join('/')), result);
      }),
    );
  });
});

describe('rewrite of a VirtualService', () => {
  it('replaces percent-encoding in whatever case it is written', () => {
    const uriRegexRewrite = { match: '/x%2f(.*)', rewrite: '/\\1' };
    const rule = toSubset('v1', { rewrite: { uriRegexRewrite } });
    const table = compileHttpRoutes(routeInput({ virtualServices: [virtualService([rule])] }));
    const decision = matchHttp(table, request({ path: '/x%2Fa' }));
    assert.ok(decision.kind === 'route');
    assert.equal(rewritePath('/x%2Fa', decision.action.path), '/a');
  });

  for (const [title, match, path, expected] of [
    ['a prefix replaces what it matched', { uri: { prefix: '/a' } }, '/a/b', '/new/b'],
    ['an exact path is replaced whole', { uri: { exact: '/a/b' } }, '/a/b', '/new'],
    ['a regex path is replaced whole', { uri: { regex: '/a.*' } }, '/a/b', '/new'],
    ['without uri, the prefix is /', {}, '/b', '/newb'],
  ] as const) {
    it(title, () => {
      const rule = toSubset('v1', { match: [matchBlock(match)], rewrite: { uri: '/new' } });
      const table = compileHttpRoutes(routeInput({ virtualServices: [virtualService([rule])] }));
      const decision = matchHttp(table, request({ path }));
      assert.ok(decision.kind === 'route');
      assert.equal(rewritePath(path, decision.action.path), expected);
    });
  }

  it('takes the authority from rewrite, else from the headers of rule and destination', () => {
    const host = (value: string) => ({ request: { set: { Host: value }, add: {}, remove: [] } });
    const destination = { destination: { host: 'reviews' }, weight: 1, headers: host('dest') };
    for (const [rule, expected] of [
      [{ rewrite: { authority: 'a' }, headers: host('b') }, ['a', 'dest']],
      [{ headers: host('b') }, ['b', 'dest']],
      [{}, [undefined, 'dest']],
    ] as const) {
      const table = compileHttpRoutes(
        routeInput({
          virtualServices: [virtualService([httpRule({ route: [destination], ...rule })])],
        }),
      );
      const decision = matchHttp(table, request());
      assert.ok(decision.kind === 'route');
      const { authority, clusters } = decision.action;
      assert.deepEqual([authority, clusters[0]?.authority], expected);
      assert.deepEqual(decision.headers.request, []);
    }
  });
});

describe('redirectLocation', () => {
  const byVirtualService: readonly [
    Omit<NonNullable<Parameters<typeof httpRule>[0]>['redirect'] & object, 'redirectCode'>,
    Partial<HttpRequestView>,
    string,
  ][] = [
    [{ uri: '/new' }, { query: 'a=1' }, 'http://reviews/new?a=1'],
    [{ uri: '/new?b=2' }, { query: 'a=1' }, 'http://reviews/new?b=2'],
    [{ authority: 'other' }, { authority: 'reviews:8080', path: '/x' }, 'http://other/x'],
    [{ authority: 'other:81' }, {}, 'http://other:81/'],
    [{ scheme: 'https' }, { authority: 'reviews:80' }, 'https://reviews/'],
    [{ scheme: 'https' }, { authority: 'reviews:8080' }, 'https://reviews:8080/'],
    [{ uri: '/n' }, { authority: 'reviews:80' }, 'http://reviews/n'],
    [{ uri: '/n' }, { authority: 'reviews:8080' }, 'http://reviews:8080/n'],
    [{ scheme: 'https', port: 443 }, {}, 'https://reviews/'],
    [{ port: 8443 }, {}, 'http://reviews:8443/'],
    [
      { authority: 'o', derivePort: 'FROM_REQUEST_PORT' },
      { authority: 'reviews:8080' },
      'http://o:8080/',
    ],
    [
      { authority: 'o', derivePort: 'FROM_PROTOCOL_DEFAULT' },
      { authority: 'reviews:8080' },
      'http://o/',
    ],
    [{ scheme: 'https' }, { authority: '[fd00::1]' }, 'https://[fd00::1]/'],
    [{ prefixRewrite: '/q' }, { path: '/p/x' }, 'http://reviews/q/x'],
  ];
  for (const [redirect, view, expected] of byVirtualService) {
    it(`VirtualService ${JSON.stringify(redirect)} of ${view.authority ?? 'reviews'}: ${expected}`, () => {
      const match = matchBlock({ uri: { prefix: view.path === undefined ? '/' : '/p' } });
      const rule = httpRule({
        match: redirect.prefixRewrite === undefined ? [] : [match],
        redirect: { ...redirect, redirectCode: 301 },
      });
      const table = compileHttpRoutes(routeInput({ virtualServices: [virtualService([rule])] }));
      const decision = matchHttp(table, request(view));
      assert.ok(decision.kind === 'redirect');
      assert.equal(redirectLocation(decision.action, request(view)), expected);
    });
  }

  for (const [requestRedirect, view, expected] of [
    [{ hostname: 'example.org' }, {}, 'http://example.org/foo/bar'],
    [
      { hostname: 'example.org' },
      { authority: 'reviews:8080', port: 8080 },
      'http://example.org:8080/foo/bar',
    ],
    [{ scheme: 'https' }, { authority: 'reviews:8080' }, 'https://reviews/foo/bar'],
    [{ scheme: 'https', port: 8443 }, {}, 'https://reviews:8443/foo/bar'],
    [{ path: { type: 'ReplaceFullPath', value: '/x' } }, {}, 'http://reviews/x'],
    [{ path: { type: 'ReplacePrefixMatch', value: '/' } }, {}, 'http://reviews/bar'],
  ] as const) {
    it(`HTTPRoute ${JSON.stringify(requestRedirect)}: ${expected}`, () => {
      const rule = routeRule('reviews', {
        matches: [routeMatch({ type: 'PathPrefix', value: '/foo' })],
        filters: [
          { type: 'RequestRedirect', requestRedirect: { statusCode: 302, ...requestRedirect } },
        ],
      });
      const table = compileHttpRoutes(routeInput({ httpRoutes: [httpRoute([rule])] }));
      const sent = request({ path: '/foo/bar', ...view, port: 80 });
      const decision = matchHttp(table, sent);
      assert.ok(decision.kind === 'redirect');
      assert.equal(decision.action.status, 302);
      assert.equal(redirectLocation(decision.action, sent), expected);
    });
  }
});
