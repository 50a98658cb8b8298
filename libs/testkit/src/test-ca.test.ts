import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';

import { spiffeIdOfCertificate } from '@ambit/identity';

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

  it('makes what must be refused: expired, of another trust domain, without identity', () => {
    const ca = new TestCa();
    const expired = new X509Certificate(ca.expired('shop', 'reviews').chainPem);
    assert.ok(expired.validToDate.getTime() < Date.now());
    const other = new X509Certificate(ca.otherTrustDomain('shop', 'reviews').chainPem);
    assert.equal(spiffeIdOfCertificate(other).trustDomain, 'other.domain');
    const nobody = new X509Certificate(ca.withoutIdentity().chainPem);
    assert.throws(() => spiffeIdOfCertificate(nobody), { code: 'IDENTITY_SPIFFE_INVALID' });
  });

  it('is a real CA too', () => {
    const ca = new TestCa();
    assert.equal(ca.authority().rootBundlePem, ca.rootPem);
  });
});
