import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { meshOfAllTests } from '../testing.ts';
import { FINE_MESH } from '../testing-meshes.ts';
import { splitPort } from './connection-why.ts';

/** Against a mesh that is as it should be. */
const { run } = meshOfAllTests(FINE_MESH);

describe('meshctl why', { concurrency: 3 }, () => {
  it('answers 0 where it is allowed', async () => {
    const { code, stdout } = await run('why', 'client', 'reviews:80');
    assert.equal(stdout, ALLOWED);
    assert.equal(code, 0);
  });

  it('answers 1 where it is refused, and names the policy', async () => {
    const { code, stdout } = await run('why', 'reviews-1', 'reviews:80', '-n', 'shop');
    assert.match(stdout, /refused: .*nobody-else/);
    assert.match(stdout, /rule 0 of shop\/nobody-else fails at from/);
    assert.equal(code, 1);
  });

  it('has the same as data', async () => {
    const { stdout } = await run('why', 'client', 'reviews', '--path', '/x', '-o', 'json');
    assert.equal((JSON.parse(stdout) as { verdict: string }).verdict, 'allowed');
  });

  for (const [title, args, code, message] of [
    ['an unknown source', ['nobody', 'reviews'], 1, /source "nobody"/],
    ['an impossible port', ['client', 'reviews:99999'], 2, /port 99999 does not exist/],
    ['a header without colon', ['client', 'reviews', '--header', 'x'], 2, /Name: value/],
  ] as const) {
    it(`answers ${code} to ${title}`, async () => {
      const { stderr, code: actual } = await run('why', ...args);
      assert.match(stderr, message);
      assert.equal(actual, code);
    });
  }

  for (const [text, expected] of [
    ['reviews', { host: 'reviews' }],
    ['reviews:80', { host: 'reviews', port: 80 }],
    ['shop/reviews-1:8080', { host: 'shop/reviews-1', port: 8080 }],
    ['10.0.0.1:80', { host: '10.0.0.1', port: 80 }],
    ['[fd00::1]:80', { host: 'fd00::1', port: 80 }],
    ['fd00::1', { host: 'fd00::1' }],
  ] as const) {
    it(`reads ${text}`, () => assert.deepEqual(splitPort(text), expected));
  }
  for (const text of ['reviews:0', '[fd00::1', 'x:70000']) {
    it(`refuses ${text}`, () => assert.throws(() => splitPort(text)));
  }
});

const ALLOWED = `shop/client-1 → reviews.shop.svc.cluster.local:80
shop/client-1 on n1
  · captured by the agent; service account shop/client
  · reviews.shop.svc.cluster.local is service shop/reviews (10.96.0.1), port 80
  · 10.96.0.1:80: tunnel to 10.0.0.2:15008, which must be spiffe://cluster.local/ns/shop/sa/reviews
  agent of shop/reviews-1 on n2
    · tunnel to 10.0.0.2:8080 from spiffe://cluster.local/ns/shop/sa/client
    ✓ policy: allowed by AuthorizationPolicy shop/nobody-else rule 0 (from)  [AuthorizationPolicy/shop/nobody-else spec.rules[0]]
    → reaches 10.0.0.2:8080, called by spiffe://cluster.local/ns/shop/sa/client

allowed: reaches 10.0.0.2:8080, called by spiffe://cluster.local/ns/shop/sa/client
`;
