import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, parseSpec } from '../testing/rule-table.ts';

const UNJUDGED = [
  ...['x-forwarded-client-cert', 'X-Forwarded-Client_Cert', 'x-envoy-a', 'x-ambit-source'],
  ...['transfer-encoding', 'keep-alive', 'trailer', 'proxy-authorization', 'http2-settings'],
];
const JUDGED = ['x-a', 'host', 'upgrade', 'Connection', 'te', 'x-forwarded-for', 'content-length'];

const policy = (action: string, name: string, field: string, value = 'a') => ({
  action,
  rules: [{ when: [{ key: `request.headers[${name}]`, [field]: [value] }] }],
});

describe('conditions on headers', () => {
  for (const name of UNJUDGED) {
    it(`refuses ${name}, which nobody judges, where that would let requests through`, () => {
      const says = ['INVALID_HEADER_NAME spec.rules[0].when[0].key'];
      for (const [action, field, expected] of [
        ['DENY', 'values', says],
        ['ALLOW', 'notValues', says],
        ['DENY', 'notValues', []],
        ['ALLOW', 'values', []],
        ['AUDIT', 'values', []],
      ] as const) {
        const spec = policy(action, name, field);
        assert.deepEqual(errorsOf('AuthorizationPolicy', spec), expected, `${action} ${field}`);
        const { findings } = parseSpec('AuthorizationPolicy', spec);
        assert.ok(findings.some(({ code }) => code === 'INVALID_HEADER_NAME'));
      }
    });
  }

  for (const name of JUDGED) {
    it(`takes ${name}`, () => {
      const { findings } = parseSpec('AuthorizationPolicy', policy('DENY', name, 'values'));
      assert.deepEqual(findings, []);
    });
  }

  it('compares Host with hosts that requests can have', () => {
    const spec = policy('DENY', 'Host', 'values', '10.0.0.01');
    assert.deepEqual(errorsOf('AuthorizationPolicy', spec), [
      'INVALID_HOST spec.rules[0].when[0].values[0]',
    ]);
  });
});
