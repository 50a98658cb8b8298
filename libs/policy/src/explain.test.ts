import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evaluate } from './evaluate.ts';
import { explainVerdict } from './explain.ts';
import { compile, meta, peerAuthentication, plaintext, tcp } from './fixtures/objects.ts';
import { convertPeerAuthentication, staticStrictPolicy } from './peer-authentication.ts';

describe('explainVerdict', () => {
  it('names policy, rule and clauses', () => {
    const deny = compile([{ from: [{ namespaces: ['shop'] }], to: [{ ports: ['8080'] }] }], {
      name: 'reviews',
      action: 'DENY',
    }).compiled;
    assert.equal(
      explainVerdict(evaluate([deny], tcp())),
      'denied by AuthorizationPolicy shop/reviews rule 0 (from, to)',
    );
    const allow = compile([{}], { name: 'open' }).compiled;
    assert.equal(
      explainVerdict(evaluate([allow], tcp())),
      'allowed by AuthorizationPolicy shop/open rule 0',
    );
    assert.equal(explainVerdict(evaluate([], tcp())), 'no policy applies');
  });

  it('names what was tried, and cuts a long list', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const policies = names.map((name) => compile([], { name }).compiled);
    assert.equal(
      explainVerdict(evaluate(policies.slice(0, 2), tcp())),
      'allow policies exist, but none allowed: shop/a, shop/b',
    );
    assert.match(explainVerdict(evaluate(policies, tcp())), /shop\/e and 2 more$/);
    assert.equal(
      explainVerdict(evaluate([], tcp(), { missing: ['shop/late'] })),
      'refused until policy shop/late has arrived',
    );
  });

  it('names the PeerAuthentication behind a converted policy', () => {
    const input = { connection: plaintext() };
    assert.equal(
      explainVerdict(evaluate([staticStrictPolicy('istio-system')], input)),
      'denied by PeerAuthentication STRICT (caller without identity)',
    );
    const converted = convertPeerAuthentication(
      peerAuthentication({ portLevelMtls: { 8080: { mode: 'STRICT' } } }, meta('db')),
      'PERMISSIVE',
    );
    assert.ok(converted !== undefined);
    assert.equal(
      explainVerdict(evaluate([converted], input)),
      'denied by PeerAuthentication shop/db (caller without identity)',
    );
  });
});
