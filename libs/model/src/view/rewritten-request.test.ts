import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type CompiledPolicy,
  compileAuthorizationPolicy,
  evaluate,
  type RequestAttributes,
} from '@ambit/policy';

import { policy } from '../objects.testing.ts';
import { decideRewritten, judgedPath } from './rewritten-request.ts';
import type { PolicyDecision } from './waypoint-authorization.ts';

const SCOPE = { rootNamespace: 'istio-system', trustDomain: 'cluster.local' };
const ONLY = (path: string) => ({ rules: [{ to: [{ operation: { paths: [path] } }] }] });

function compiled(namespace: string, spec: Record<string, unknown>): CompiledPolicy {
  return compileAuthorizationPolicy(policy('p', spec, { namespace }) as never, SCOPE).compiled;
}

const requestOf = (path: string): RequestAttributes => ({
  host: 'reviews',
  method: 'GET',
  path,
  header: () => undefined,
});

function decided(policies: readonly CompiledPolicy[], by: string): PolicyDecision {
  const set = { policies, missing: [] };
  const connection = {
    sourceIp: Uint8Array.of(10, 0, 0, 9),
    destinationIp: Uint8Array.of(10, 0, 0, 1),
    destinationPort: 8080,
  };
  const input = { connection, request: requestOf('/a') };
  const decision = { verdict: evaluate(policies, input), set, input };
  return decideRewritten(decision, { route: `HTTPRoute/${by}/r`, request: requestOf('/b') });
}

describe('decideRewritten', () => {
  for (const [what, of, by, isAllowed] of [
    ['another namespace', 'shop', 'other', false],
    ['the mesh', 'istio-system', 'other', false],
    ['the route’s own namespace', 'shop', 'shop', true],
  ] as const) {
    it(`${isAllowed ? 'leaves out' : 'asks'} policies of ${what}`, () => {
      const { verdict } = decided([compiled(of, ONLY('/a'))], by);
      assert.equal(verdict.allowed, isAllowed);
    });
  }

  it('lets no policy of the route’s namespace open what another one closes', () => {
    const both = [compiled('shop', ONLY('/a')), compiled('other', ONLY('/b'))];
    assert.equal(decided(both, 'other').verdict.allowed, false);
  });

  it('keeps the notes on both requests, each once', () => {
    const policies = ['/a', '/b', '/*'].map((path) =>
      compiled('shop', { action: 'AUDIT', ...ONLY(path) }),
    );
    const named = policies.map((entry, index) => ({ ...entry, name: `p${index}` }));
    const { verdict } = decided(named, 'other');
    assert.deepEqual(
      verdict.audited.map((ref) => ref.policy),
      ['shop/p0', 'shop/p2', 'shop/p1'],
    );
  });
});

describe('judgedPath', () => {
  for (const [path, expected] of [
    ['/a', '/a'],
    ['/a?b=/../c', '/a'],
    ['/a//b', '/a//b'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/a/%2e%2e/b', undefined],
    ['/%61', undefined],
    ['/a\\b', undefined],
    ['/a/../b', undefined],
    ['/%zz', undefined],
    ['/%00', undefined],
    ['/a#b', undefined],
    ['a', undefined],
    ['', undefined],
  ] as const) {
    it(`reads ${JSON.stringify(path)} as ${expected ?? 'none that is clear'}`, () =>
      assert.equal(judgedPath(path), expected));
  }
});
