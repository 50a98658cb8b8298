import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, parseSpec } from '../testing/rule-table.ts';

interface Field {
  readonly title: string;
  readonly code: string;
  /** What is compared with and what must not be, and where they are. */
  readonly names: readonly [string, string];
  readonly at: string;
  readonly rule: (lists: object) => object;
  readonly useless: readonly string[];
  /** The first two are used beside a useless one. */
  readonly useful: readonly string[];
}

const operation = {
  at: 'spec.rules[0].to[0].operation',
  rule: (lists: object) => ({ to: [{ operation: lists }] }),
};
const condition = (key: string) => ({
  names: ['values', 'notValues'] as const,
  at: 'spec.rules[0].when[0]',
  rule: (lists: object) => ({ when: [{ key, ...lists }] }),
});
const PRINCIPALS = {
  code: 'PRINCIPAL_NEVER_MATCHES',
  useless: [
    'default',
    'cluster.local/sa/a',
    'cluster.local/ns/a/sa/b/c',
    'cluster.local/ns/*/sa/b',
    'cluster.local/namespace/*',
    '*/account/a',
    '*a*',
  ],
  useful: [
    'cluster.local/ns/a/sa/b',
    '*/sa/b',
    '*',
    'cluster.local/*',
    'cluster.local/ns/a/*',
    'cluster.local/ns/a/sa/b*',
    'cluster*',
    '*b',
    '*/ns/a/sa/b',
    '*local/ns/a/sa/b',
  ],
};

const FIELDS: readonly Field[] = [
  {
    title: 'paths',
    code: 'INVALID_PATH',
    names: ['paths', 'notPaths'],
    ...operation,
    useless: [
      ...[
        '/a\\b',
        '/a/./b',
        '/a/../b',
        '/%00',
        '/%zz',
        '/a#b',
        'admin',
        'admin*',
        '*/../b',
        '/a b',
      ],
      ...['/admin?*', '/admin?a=b', '*?a'],
    ],
    useful: ['/%7Ebob', '/a%2Db', '/%61dmin', '/a/.*', '/caf%c*', '*.png', '*', '//a', '/{*}/b'],
  },
  {
    title: 'hosts',
    code: 'INVALID_HOST',
    names: ['hosts', 'notHosts'],
    ...operation,
    useless: [
      ...['10.0.0.01', 'x..', 'x:080', 'a b', 'fd00::1'],
      ...['*:080', '*..', '*.a..b', '*:0', '*é', '*a*', '**', 'a*b', '*:*', '*]a', '*::1]:080'],
      ...['.a*', '-a*', 'a..*', 'a:0*', 'a:080*', 'a b*', 'http://*', '[x*'],
    ],
    useful: [
      ...['a', '10.0.0.1', '*', '*.a', '*a', '*.a.', '*.', '*:80', '*0', '*.1', '*::1]', '*]:80'],
      ...[
        'a*',
        'a.*',
        'a:*',
        'a:8*',
        'a:80*',
        '10.*',
        '[fd00:*',
        '[fd00::1]*',
        '[fd00::1]:*',
        'A.B*',
      ],
    ],
  },
  {
    title: 'methods',
    code: 'INVALID_METHOD',
    names: ['methods', 'notMethods'],
    ...operation,
    useless: ['GET,POST', 'GET, POST', 'GET POST', 'GET/', '(GET)', 'É', 'G'.repeat(33)],
    useful: ['GET', 'POST', '*', 'P*', '*T', 'X-FETCH', 'M.1'],
  },
  {
    title: 'values of a header',
    code: 'INVALID_VALUE',
    ...condition('request.headers[x-role]'),
    useless: [' admin', 'admin ', '\tadmin', ' adm*', '*min ', 'a\nb', ' '],
    useful: ['admin', 'an admin', 'an *', '* admin', '*', 'a\tb', 'é', ''],
  },
  {
    title: 'values of Host',
    code: 'INVALID_HOST',
    ...condition('request.headers[Host]'),
    useless: ['10.0.0.01', '*:080', 'a b'],
    useful: ['a', 'b', '*.a'],
  },
  {
    title: 'principals',
    names: ['principals', 'notPrincipals'],
    ...PRINCIPALS,
    at: 'spec.rules[0].from[0].source',
    rule: (lists) => ({ from: [{ source: lists }] }),
  },
  {
    title: 'values of source.principal',
    ...condition('source.principal'),
    ...PRINCIPALS,
    useless: [...PRINCIPALS.useless, 'spiffe://a'],
    useful: [...PRINCIPALS.useful, 'spiffe://cluster.local/ns/a/sa/b', 'spiffe://*'],
  },
];

const policyOf = (action: string, rule: object) => ({ action, rules: [rule] });
/** Those of that code. */
const findingsOf = (spec: unknown, wanted: string) =>
  parseSpec('AuthorizationPolicy', spec)
    .findings.filter(({ code }) => code === wanted)
    .map(({ severity, code, path }) => `${severity} ${code} ${path}`);

describe('values that no request has', () => {
  for (const { title, code, names, at, rule, useless, useful } of FIELDS) {
    const [some, none] = names;
    const found = (name: string, index: number) => `${code} ${at}.${name}[${index}]`;
    for (const value of useless) {
      it(`refuses ${JSON.stringify(value)} of ${title} where that lets requests through`, () => {
        const others = [...useful.slice(0, 2), value];
        for (const [action, name] of [
          ['DENY', some],
          ['ALLOW', none],
        ] as const) {
          for (const values of [[value], others]) {
            const spec = policyOf(action, rule({ [name]: values }));
            const expected = [found(name, values.length - 1)];
            assert.deepEqual(errorsOf('AuthorizationPolicy', spec), expected);
          }
        }
        for (const [action, name] of [
          ['ALLOW', some],
          ['DENY', none],
        ] as const) {
          const alone = policyOf(action, rule({ [name]: [value] }));
          assert.deepEqual(errorsOf('AuthorizationPolicy', alone), [found(name, 0)], 'alone');
          const spec = policyOf(action, rule({ [name]: others }));
          assert.deepEqual(errorsOf('AuthorizationPolicy', spec), [], 'with others');
          assert.deepEqual(findingsOf(spec, code), [`warning ${found(name, 2)}`]);
        }
      });
    }

    it(`takes ${title} that requests can have`, () => {
      for (const action of ['ALLOW', 'DENY']) {
        for (const value of useful) {
          const spec = policyOf(action, rule({ [some]: [value] }));
          assert.deepEqual(errorsOf('AuthorizationPolicy', spec), [], value);
          assert.deepEqual(findingsOf(spec, code), [], value);
        }
      }
    });
  }

  it('says how a path is written', () => {
    const paths = ['/a/../b*', '*\\b', 'admin'];
    const spec = policyOf('DENY', operation.rule({ paths }));
    const { findings } = parseSpec('AuthorizationPolicy', spec);
    assert.deepEqual(
      findings.map(({ fix }) => fix),
      ['write /b*', 'write */b', 'write /admin'],
    );
  });

  it('warns of them in matches of routes, whose other rules stay', () => {
    const parentRefs = [{ group: '', kind: 'Service', name: 'a' }];
    const route = [{ destination: { host: 'a' } }];
    for (const [path, says] of [
      ['/a/../b', true],
      ['/%zz', true],
      ['/%7Ebob', false],
    ] as const) {
      for (const type of ['exact', 'prefix']) {
        const http = [{ match: [{ uri: { [type]: path } }], route }];
        const { findings, object } = parseSpec('VirtualService', { hosts: ['a'], http });
        assert.ok(object !== undefined);
        const found = findings.map((finding) => `${finding.severity} ${finding.path}`);
        assert.deepEqual(found, says ? [`warning spec.http[0].match[0].uri.${type}`] : []);
      }
      for (const type of ['Exact', 'PathPrefix']) {
        const rules = [{ matches: [{ path: { type, value: path } }] }];
        const { findings, object } = parseSpec('HTTPRoute', { parentRefs, rules });
        assert.ok(object !== undefined);
        const found = findings.filter(({ code }) => code === 'INVALID_PATH');
        assert.deepEqual(
          found.map((finding) => `${finding.severity} ${finding.path}`),
          says ? ['warning spec.rules[0].matches[0].path.value'] : [],
        );
      }
    }
  });
});
