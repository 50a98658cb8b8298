/** What others give us is read or refused with an error of ours, whatever it is. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import { IdentityError } from '@ambit/identity';
import fc from 'fast-check';

import { caSecretOf, caTextsOf } from './ca-secret.ts';
import { watchedRequest } from './cert-manager/certificate-request.ts';
import { parseIssuerReference } from './cert-manager/issuer-reference.ts';
import { claimsOf } from './token-claims.ts';
import { callerOfReview } from './token-review-answer.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const encode = (text: string): string => Buffer.from(text).toString('base64url');

/** The only errors that these may throw. */
function readOrRefused(read: () => unknown, code: string): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof MeshError, String(error));
    assert.equal(error.code, code);
  }
}

describe('parsers of the trust', () => {
  it('read claims, or refuse the token', () => {
    const payload = fc.oneof(
      fc.string(),
      fc.json(),
      fc.json().map((text) => `{"exp":${text}}`),
    );
    const token = fc.oneof(
      fc.string(),
      payload.map((text) => `a.${encode(text)}.c`),
    );
    fc.assert(
      fc.property(token, (text) => {
        readOrRefused(() => {
          const { expiresAtMs } = claimsOf(text, { wallNowMs: NOW_MS });
          assert.ok(Number.isFinite(expiresAtMs) && expiresAtMs > NOW_MS - 60_001);
        }, 'IDENTITY_TOKEN_INVALID');
      }),
    );
  });

  it('believe no answer that does not say all', () => {
    const extra = fc.dictionary(
      fc
        .constantFrom('pod-name', 'pod-uid', 'node-name')
        .map((k) => `authentication.kubernetes.io/${k}`),
      fc.oneof(fc.array(fc.string(), { maxLength: 2 }), fc.jsonValue()),
    );
    const user = fc.record(
      {
        username: fc.oneof(fc.string(), fc.constant('system:serviceaccount:a:b')),
        groups: fc.oneof(fc.jsonValue(), fc.constant(['system:serviceaccounts'])),
        extra: fc.oneof(fc.jsonValue(), extra),
      },
      { requiredKeys: [] },
    );
    const status = fc.record(
      {
        authenticated: fc.oneof(fc.jsonValue(), fc.constant(true)),
        audiences: fc.oneof(fc.jsonValue(), fc.constant(['istio-ca'])),
        error: fc.jsonValue(),
        user: fc.oneof(fc.jsonValue(), user),
      },
      { requiredKeys: [] },
    );
    const answer = fc.oneof(
      fc.jsonValue(),
      status.map((s) => ({ status: s })),
    );
    const options = { claims: { expiresAtMs: NOW_MS }, audiences: ['istio-ca'] };
    fc.assert(
      fc.property(answer, (value) => {
        readOrRefused(() => {
          const caller = callerOfReview(value, options);
          assert.ok(caller.pod.name !== '' && caller.pod.uid !== '');
          const { status: said } = value as { status: { authenticated: unknown } };
          assert.equal(said.authenticated, true);
        }, 'IDENTITY_TOKEN_INVALID');
      }),
      { numRuns: 500 },
    );
  });

  it('read a Secret, or say which key is wrong', () => {
    const keys = ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem', 'tls.crt'];
    const data = fc.dictionary(
      fc.constantFrom(...keys),
      fc.oneof(
        fc.jsonValue(),
        fc.string().map((text) => Buffer.from(text).toString('base64')),
      ),
    );
    fc.assert(
      fc.property(data, (values) => {
        const metadata = { namespace: 'a', name: 'b' };
        readOrRefused(
          () => caTextsOf(caSecretOf({ metadata, data: values })),
          'CONTROLLER_CA_SECRET_INVALID',
        );
      }),
    );
  });

  it('read what a certificate request has become', () => {
    const condition = fc.record(
      {
        type: fc.constantFrom('Ready', 'Approved', 'Denied', 'InvalidRequest', 'x'),
        status: fc.oneof(fc.constantFrom('True', 'False'), fc.jsonValue()),
        reason: fc.oneof(fc.constantFrom('Pending', 'Failed', 'Denied'), fc.jsonValue()),
        message: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const status = fc.record(
      { conditions: fc.array(condition), certificate: fc.jsonValue(), ca: fc.jsonValue() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(status, (value) => {
        const metadata = { namespace: 'a', name: 'b' };
        const { outcome } = watchedRequest({ metadata, status: value });
        const isDenied = value.conditions?.some(
          (one) => one.type === 'Denied' && one.status === 'True',
        );
        const first = value.conditions?.find((one) => one.type === 'Denied');
        if (isDenied === true && first?.status === 'True') assert.equal(outcome.kind, 'refused');
      }),
    );
  });

  it('read an issuer, or nothing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const found = parseIssuerReference(text);
        if (found !== undefined) assert.ok(!Object.values(found).includes(''));
      }),
    );
  });

  it('say nothing of a key in the error', () => {
    const secret = 'MHcCAQEEIAbCdEfGhIjKl';
    const pem = `-----BEGIN EC PRIVATE KEY-----\n${secret}\n-----END EC PRIVATE KEY-----\n`;
    const values = { 'ca-cert.pem': pem, 'ca-key.pem': pem };
    const metadata = { namespace: 'a', name: 'b' };
    const data = Object.fromEntries(
      Object.entries(values).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    );
    assert.throws(
      () => caTextsOf(caSecretOf({ metadata, data })),
      (error) => !String(error).includes(secret) && !(error instanceof IdentityError),
    );
  });
});
