import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileAuthorizationPolicy } from './compile.ts';
import { PolicyError } from './errors.ts';
import { authorizationPolicy, compile, OPTIONS, type RuleParts } from './fixtures/objects.ts';

describe('compileAuthorizationPolicy', () => {
  it('keeps the order of the wire: to, from, when', () => {
    const { compiled } = compile([
      {
        from: [{ namespaces: ['a'] }],
        to: [{ ports: ['80'] }],
        when: [
          { key: 'source.ip', values: ['10.0.0.0/8'] },
          { key: 'destination.port', notValues: ['81'] },
        ],
      },
    ]);
    assert.deepEqual(
      compiled.rules[0]?.clauses.map((clause) => clause.origin),
      ['to', 'from', 'when[0]', 'when[1]'],
    );
  });

  it('gives a scope by selector, targetRefs and namespace', () => {
    const scope = (
      namespace: string,
      spec: Parameters<typeof authorizationPolicy>[1] = {},
    ): string => compile([], { namespace, ...spec }).compiled.scope;
    const ref = { group: '', kind: 'Service', name: 'reviews' };
    assert.equal(scope('istio-system'), 'GLOBAL');
    assert.equal(scope('shop'), 'NAMESPACE');
    assert.equal(scope('shop', { spec: { selector: { matchLabels: {} } } }), 'NAMESPACE');
    const selector = { matchLabels: { app: 'a' } };
    assert.equal(scope('shop', { spec: { selector } }), 'WORKLOAD_SELECTOR');
    assert.equal(scope('istio-system', { spec: { selector } }), 'WORKLOAD_SELECTOR');
    assert.equal(scope('shop', { spec: { targetRefs: [ref] } }), 'WORKLOAD_SELECTOR');
  });

  it('reads dry-run as the reference does, and enforces when in doubt', () => {
    const dryRun = (value: string): boolean =>
      compile([], { annotations: { 'istio.io/dry-run': value } }).compiled.dryRun;
    for (const value of ['true', '1', 'T', 'TRUE']) {
      assert.equal(dryRun(value), true, value);
    }
    for (const value of ['false', '0', 'yes', '', 'tRuE']) {
      assert.equal(dryRun(value), false, value);
    }
  });

  it('says whether a waypoint is needed', () => {
    const l4: readonly RuleParts[] = [
      {},
      { to: [{ ports: ['80'] }] },
      { from: [{ principals: ['*'] }] },
      { when: [{ key: 'source.serviceAccount', values: ['shop/a'] }] },
    ];
    const l7: readonly RuleParts[] = [
      { to: [{ methods: ['GET'] }] },
      { to: [{ notPaths: ['/x'] }] },
      { to: [{ ports: ['80'] }, { hosts: ['a'] }] },
      { when: [{ key: 'request.headers[X-A]', values: ['1'] }] },
      { from: [{ requestPrincipals: ['*'] }] },
    ];
    for (const rule of l4) {
      assert.equal(compile([rule]).needsL7, false, JSON.stringify(rule));
    }
    for (const rule of l7) {
      assert.equal(compile([rule]).needsL7, true, JSON.stringify(rule));
    }
  });

  it('names the fields it cannot decide', () => {
    const { undecidable } = compile(
      [
        {
          from: [{ requestPrincipals: ['*'], remoteIpBlocks: ['10.0.0.0/8'] }],
          when: [
            { key: 'request.auth.claims[iss]', values: ['x'] },
            { key: 'request.headers[a]', values: ['x'] },
            { key: 'connection.sni', notValues: ['x'] },
          ],
        },
      ],
      { action: 'CUSTOM' },
    );
    assert.deepEqual(undecidable, [
      'spec.action',
      'spec.rules[0].from[0].source.requestPrincipals',
      'spec.rules[0].from[0].source.remoteIpBlocks',
      'spec.rules[0].when[0].key',
      'spec.rules[0].when[2].key',
    ]);
  });

  it('gives a bare service account the namespace of the policy', () => {
    const { compiled } = compile([{ from: [{ serviceAccounts: ['a', 'other/b'] }] }]);
    assert.deepEqual(compiled.rules[0]?.clauses[0]?.matches[0]?.l4.serviceAccounts, [
      { namespace: 'shop', name: 'a' },
      { namespace: 'other', name: 'b' },
    ]);
  });

  it('reads cluster.local as the mesh trust domain too, and cuts the scheme', () => {
    const policy = authorizationPolicy([
      { from: [{ principals: ['spiffe://cluster.local/ns/a/sa/b', 'x.org/ns/a/*', '*'] }] },
    ]);
    const { compiled } = compileAuthorizationPolicy(policy, { ...OPTIONS, trustDomain: 'my.org' });
    assert.deepEqual(compiled.rules[0]?.clauses[0]?.matches[0]?.l4.principals, [
      { kind: 'exact', value: 'cluster.local/ns/a/sa/b' },
      { kind: 'exact', value: 'my.org/ns/a/sa/b' },
      { kind: 'prefix', value: 'x.org/ns/a/' },
      { kind: 'presence' },
    ]);
  });

  const refused: readonly (readonly [RuleParts, string])[] = [
    [{ to: [{ ports: ['http'] }] }, 'spec.rules[0].to[0].operation.ports[0]'],
    [{ to: [{ notPorts: ['0'] }] }, 'spec.rules[0].to[0].operation.notPorts[0]'],
    [{ to: [{ ports: ['65536'] }] }, 'spec.rules[0].to[0].operation.ports[0]'],
    [{ to: [{ ports: ['80', ' 81'] }] }, 'spec.rules[0].to[0].operation.ports[1]'],
    [{ to: [{}] }, 'spec.rules[0].to[0].operation'],
    [{ from: [{ namespaces: ['a'] }, {}] }, 'spec.rules[0].from[1].source'],
    [{ from: [{ ipBlocks: ['10.0.0.0/33'] }] }, 'spec.rules[0].from[0].source.ipBlocks[0]'],
    [{ from: [{ notIpBlocks: ['10.0.0'] }] }, 'spec.rules[0].from[0].source.notIpBlocks[0]'],
    [{ from: [{ ipBlocks: ['::1/129'] }] }, 'spec.rules[0].from[0].source.ipBlocks[0]'],
    [{ to: [{ paths: ['/{**}/a/{*}'] }] }, 'spec.rules[0].to[0].operation.paths[0]'],
    [{ to: [{ paths: ['/a{*}'] }] }, 'spec.rules[0].to[0].operation.paths[0]'],
    [{ to: [{ notPaths: ['/{*}/*'] }] }, 'spec.rules[0].to[0].operation.notPaths[0]'],
    [{ when: [{ key: 'request.header[a]', values: ['x'] }] }, 'spec.rules[0].when[0].key'],
    [{ when: [{ key: 'request.headers[]', values: ['x'] }] }, 'spec.rules[0].when[0].key'],
    [{ when: [{ key: 'source.ip' }] }, 'spec.rules[0].when[0]'],
    [{ when: [{ key: 'source.ip', values: ['x'] }] }, 'spec.rules[0].when[0].values[0]'],
    [
      { when: [{ key: 'destination.port', notValues: ['x'] }] },
      'spec.rules[0].when[0].notValues[0]',
    ],
  ];
  for (const [rule, path] of refused) {
    it(`refuses ${JSON.stringify(rule)} by path`, () => {
      assert.throws(
        () => compile([rule]),
        (error) => error instanceof PolicyError && error.path === path,
      );
    });
  }
});
