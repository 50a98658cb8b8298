import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';

import { TestCa } from './test-ca.ts';

describe('TestCa', () => {
  it('issues leaves that its root vouches for', () => {
    const ca = new TestCa();
    const { chainPem, identity } = ca.workload('shop', 'reviews');
    const leaf = new X509Certificate(chainPem);
    assert.ok(leaf.verify(new X509Certificate(ca.rootPem).publicKey));
    assert.equal(leaf.subjectAltName, `URI:${identity}`);
  });

  it('is trusted by nobody else', () => {
    const leaf = new X509Certificate(new TestCa().workload('shop', 'reviews').chainPem);
    assert.equal(leaf.verify(new X509Certificate(new TestCa().rootPem).publicKey), false);
  });
});
