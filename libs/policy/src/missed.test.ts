import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { AuthorizationPolicy } from '@ambit/api';
import { parseObject } from '@ambit/api';

import { compileAuthorizationPolicy } from './compile.ts';
import { evaluate } from './evaluate.ts';
import { explainRefusal } from './explain.ts';
import { missedRules } from './missed.ts';
import type { CompiledPolicy, PolicyInput } from './types.ts';

function policy(name: string, spec: unknown): CompiledPolicy {
  const { object, findings } = parseObject({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'shop' },
    spec,
  });
  assert.ok(object?.kind === 'AuthorizationPolicy', JSON.stringify(findings));
  return compileAuthorizationPolicy(object as AuthorizationPolicy, {
    rootNamespace: 'istio-system',
    trustDomain: 'cluster.local',
  }).compiled;
}

const input: PolicyInput = {
  connection: {
    sourceIp: Uint8Array.of(10, 0, 0, 1),
    destinationIp: Uint8Array.of(10, 0, 0, 2),
    destinationPort: 80,
    source: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'client' },
  },
  request: { host: 'a', method: 'POST', path: '/', header: () => undefined },
};

const readers = policy('readers', {
  rules: [
    {
      from: [{ source: { principals: ['cluster.local/ns/shop/sa/reviews'] } }],
      to: [{ operation: { methods: ['GET'] } }],
    },
    { from: [{ source: { namespaces: ['shop'] } }], to: [{ operation: { methods: ['GET'] } }] },
  ],
});
const nobody = policy('nobody', {});

describe('missedRules', () => {
  it('names the clauses that did not hold, rule by rule', () => {
    assert.deepEqual(missedRules([readers, nobody], input, 10), [
      { policy: 'shop/readers', rule: 0, failedAt: 'to and from' },
      { policy: 'shop/readers', rule: 1, failedAt: 'to' },
      { policy: 'shop/nobody', rule: -1, failedAt: '' },
    ]);
  });

  it('stops at its limit', () => {
    assert.equal(missedRules([readers, nobody], input, 1).length, 1);
  });
});

it('explainRefusal says policy, rule and clause', () => {
  const policies = [readers, nobody];
  assert.equal(
    explainRefusal(evaluate(policies, input), policies, input),
    'allow policies exist, but none allowed: shop/readers, shop/nobody (rule 0 of shop/readers fails at to and from; rule 1 of shop/readers fails at to; shop/nobody has no rules, so it allows nothing)',
  );
});
