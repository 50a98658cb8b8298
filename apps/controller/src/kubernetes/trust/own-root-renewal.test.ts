import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import {
  CertificateAuthority,
  createCertificateRequest,
  createOwnRoot,
  parseCertificates,
  verifyChain,
} from '@ambit/identity';
import { until } from '../../until.testing.ts';
import { MANAGED_BY } from '../context.ts';
import { caSecretOf, caTextsOf, dataOf, ownSecret, ROTATION_ANNOTATION } from './ca-secret.ts';
import { OwnRootRenewal, renewedTexts } from './own-root-renewal.ts';
import { bedOfEachTest } from './trust.testing.ts';

const YEAR_MS = 365 * 86_400_000;
const REF = { namespace: 'mesh', name: 'ca' };
const trustDomain = 'cluster.local';

const madeAgo = (years: number, commonName?: string) =>
  createOwnRoot({
    trustDomain,
    nowMs: Date.now() - years * YEAR_MS,
    ...(commonName === undefined ? {} : { commonName }),
  });
const renewed = (object: Parameters<typeof caSecretOf>[0]) =>
  renewedTexts(caSecretOf(object), { nowMs: Date.now(), trustDomain });

const bed = bedOfEachTest();

describe('renewedTexts', () => {
  for (const commonName of [undefined, 'root 2']) {
    it(`renews so that old and new verify each other's leaves (${commonName ?? 'no name'})`, async () => {
      const old = madeAgo(8.5, commonName);
      const next = renewed(ownSecret(REF, old));
      assert.ok(next !== undefined);
      const { csrPem } = await createCertificateRequest('spiffe://cluster.local/ns/a/sa/b');
      const identity = { trustDomain, namespace: 'a', serviceAccount: 'b' };
      const leafOf = (texts: typeof old): X509Certificate => {
        const options = { trustDomain, clock: systemClock, defaultTtlSeconds: 60, texts };
        const [leaf = ''] = CertificateAuthority.fromTexts(options).sign({
          csrPem,
          identity,
        }).chain;
        return new X509Certificate(leaf);
      };
      for (const leaf of [leafOf(old), leafOf(next)]) {
        for (const bundle of [old.roots, next.roots]) {
          const roots = parseCertificates(bundle);
          verifyChain({ leaf, intermediates: [], roots, nowMs: Date.now() });
        }
      }
      const endMs = new X509Certificate(next.certificate).validToDate.getTime();
      assert.ok(endMs > Date.now() + 9 * YEAR_MS);
      // After the old one has ended the bundle still works, whichever comes first in it.
      const [first, second] = parseCertificates(next.roots);
      assert.ok(first !== undefined && second !== undefined);
      verifyChain({
        leaf: leafOf(next),
        intermediates: [],
        roots: [second, first],
        nowMs: Date.now(),
      });
    });
  }

  it('leaves alone what is young, not ours, no root, or being rotated', () => {
    const old = madeAgo(8.5);
    assert.equal(renewed(ownSecret(REF, madeAgo(7.5))), undefined);
    const { metadata, ...rest } = ownSecret(REF, old);
    assert.equal(renewed({ ...rest, metadata: { ...metadata, labels: {} } }), undefined);
    const annotations = { [ROTATION_ANNOTATION]: 'distribute' };
    assert.equal(renewed({ ...rest, metadata: { ...metadata, annotations } }), undefined);
  });

  it('drops what has ended', () => {
    const ended = madeAgo(10.5, 'x');
    const next = renewed(ownSecret(REF, { ...ended }));
    assert.equal(parseCertificates(next?.roots ?? '').length, 1);
  });
});

describe('OwnRootRenewal', () => {
  it('writes the renewed root once, and leaves other keys', async () => {
    const object = ownSecret(REF, madeAgo(9));
    bed.server.put('secrets', {
      ...object,
      data: { ...(object['data'] as object), 'ca-crl.pem': 'eA==' },
    });
    const context = bed.context();
    const duty = new OwnRootRenewal({ context, secretName: 'ca', trustDomain });
    const end = new AbortController();
    duty.lead(end.signal);
    const stored = () => caSecretOf(bed.server.get('secrets', 'mesh/ca') ?? object);
    await until(
      () => parseCertificates(stored().values['root-cert.pem'] ?? '').length === 2,
      'two',
    );
    end.abort();
    await duty.idle();
    assert.equal(stored().values['ca-crl.pem'], 'x');
    assert.equal(stored().isOurs, true);
    const again = new AbortController();
    duty.lead(again.signal);
    await systemClock.sleep(50);
    again.abort();
    await duty.idle();
    assert.equal(bed.server.requests.filter(({ method }) => method === 'PUT').length, 1);
    assert.equal(renewed({ ...object, data: dataOf(caTextsOf(stored())) }), undefined);
    assert.deepEqual(MANAGED_BY, object.metadata.labels);
  });
});
