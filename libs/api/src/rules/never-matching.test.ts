import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, parseSpec } from '../testing/rule-table.ts';

const USELESS = {
  paths: [
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
  hosts: ['10.0.0.01', 'x..', 'x:080', 'a b', 'fd00::1'],
};
const USEFUL = {
  paths: ['/%7Ebob', '/a%2Db', '/%61dmin', '/a/.*', '/caf%c*', '*.png', '*', '//a', '/{*}/b'],
  hosts: ['a', '10.0.0.1'],
};
const NOT = { paths: 'notPaths', hosts: 'notHosts' } as const;

const policy = (action: string, field: string, values: readonly string[]) => ({
  action,
  rules: [{ to: [{ operation: { [field]: values } }] }],
});
const findingsOf = (spec: unknown, severity: string) =>
  parseSpec('AuthorizationPolicy', spec)
    .findings.filter((finding) => finding.severity === severity)
    .map(({ code, path }) => `${code} ${path}`);

describe('values that no request has', () => {
  for (const field of ['paths', 'hosts'] as const) {
    const code = field === 'paths' ? 'INVALID_PATH' : 'INVALID_HOST';
    const at = (name: string, index: number) =>
      `${code} spec.rules[0].to[0].operation.${name}[${index}]`;
    for (const value of USELESS[field]) {
      it(`refuses ${value} where that lets requests through`, () => {
        const others = [...USEFUL[field].slice(0, 2), value];
        for (const [action, name] of [
          ['DENY', field],
          ['ALLOW', NOT[field]],
        ] as const) {
          for (const values of [[value], others]) {
            const expected = [at(name, values.length - 1)];
            assert.deepEqual(
              errorsOf('AuthorizationPolicy', policy(action, name, values)),
              expected,
            );
          }
        }
        for (const [action, name] of [
          ['ALLOW', field],
          ['DENY', NOT[field]],
        ] as const) {
          const alone = policy(action, name, [value]);
          assert.deepEqual(errorsOf('AuthorizationPolicy', alone), [at(name, 0)], 'alone');
          const spec = policy(action, name, others);
          assert.deepEqual(errorsOf('AuthorizationPolicy', spec), [], 'with others');
          assert.deepEqual(findingsOf(spec, 'warning'), [at(name, 2)]);
        }
      });
    }

    it(`takes ${field} that requests can have`, () => {
      for (const action of ['ALLOW', 'DENY']) {
        assert.deepEqual(
          parseSpec('AuthorizationPolicy', policy(action, field, USEFUL[field])).findings,
          [],
        );
      }
    });
  }

  it('says how a path is written', () => {
    const spec = policy('DENY', 'paths', ['/a/../b*', '*\\b', 'admin']);
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
