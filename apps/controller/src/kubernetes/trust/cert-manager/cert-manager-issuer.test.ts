import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import {
  CertificateAuthority,
  createCertificateRequest,
  createOwnRoot,
  type IssuedCertificate,
} from '@ambit/identity';
import { fail } from '@ambit/kube/testing';
import { until } from '../../../until.testing.ts';
import { MANAGED_BY } from '../../context.ts';
import { type FakeBed, openFakeBed } from '../trust.testing.ts';
import { bothRoots, CertManagerIssuer } from './cert-manager-issuer.ts';
import { certificateRequest } from './certificate-request.ts';
import { FakeCertManager } from './fake-cert-manager.testing.ts';
import { parseIssuerReference } from './issuer-reference.ts';

const ISSUER = { kind: 'ClusterIssuer', name: 'mesh', group: 'cert-manager.io' };
const IDENTITY = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };
const URI = 'spiffe://cluster.local/ns/a/sa/b';

let bed: FakeBed;
let signer: FakeCertManager;
let issuers: CertManagerIssuer[] = [];

beforeEach(async () => {
  bed = await openFakeBed();
  signer = new FakeCertManager(bed.context().client, 'mesh');
});
afterEach(async () => {
  await signer[Symbol.asyncDispose]();
  await Promise.all(issuers.map((one) => one.stop()));
  issuers = [];
  await bed[Symbol.asyncDispose]();
});

function issuer(options: Partial<ConstructorParameters<typeof CertManagerIssuer>[0]> = {}) {
  const made = new CertManagerIssuer({
    context: bed.context(),
    issuer: ISSUER,
    trustDomain: 'cluster.local',
    defaultTtlSeconds: 3_600,
    ...options,
  });
  issuers.push(made);
  made.start();
  return made;
}

async function sign(from: CertManagerIssuer, ttlSeconds = 0): Promise<IssuedCertificate> {
  const { csrPem } = await createCertificateRequest(URI);
  return await from.sign({ csrPem, identity: IDENTITY, ttlSeconds });
}

const left = async (): Promise<number> =>
  (
    await bed
      .context()
      .client.list(
        { group: 'cert-manager.io', version: 'v1', resource: 'certificaterequests' },
        { namespace: 'mesh' },
      )
  ).length;

describe('CertManagerIssuer', () => {
  it('gives what the issuer signed, with its CA, and leaves nothing behind', async () => {
    const from = issuer();
    assert.equal(from.isOpen, false);
    const issued = await sign(from, 600);
    assert.deepEqual(issued.chain.slice(1), [signer.root.roots]);
    const leaf = new X509Certificate(issued.chain[0] ?? '');
    assert.equal(leaf.subjectAltName, `URI:${URI}`);
    assert.ok(Math.abs(issued.notAfterMs - Date.now() - 600_000) < 60_000);
    assert.equal(from.rootBundlePem, signer.root.roots);
    const [spec] = signer.specs;
    assert.deepEqual(spec?.issuerRef, ISSUER);
    assert.equal(spec.duration, '600s');
    assert.equal(spec.isCA, false);
    await until(async () => (await left()) === 0, 'its end');
    await sign(from);
    await sign(from, 86_400);
    assert.deepEqual(
      signer.specs.slice(1).map(({ duration }) => duration),
      ['3600s', '3600s'],
    );
  });

  for (const [answer, code, message] of [
    ['deny', 'IDENTITY_CA_INVALID', /to ClusterIssuer mesh: it was denied: policy, no such/],
    ['fail', 'IDENTITY_CA_INVALID', /it failed: Failed, key is lost/],
    ['invalid', 'IDENTITY_CA_INVALID', /it is invalid: bad, usages differ/],
    ['issue without CA', 'IDENTITY_CA_INVALID', /does not say its CA; the roots have to be/],
    ['issue for another', 'IDENTITY_CA_INVALID', /signed for "URI:spiffe:\/\/x\/ns\/y\/sa\/z"/],
    ['leave pending', 'IDENTITY_CA_UNAVAILABLE', /within 1000 ms: Pending, issuer waits/],
    ['ignore', 'IDENTITY_CA_UNAVAILABLE', /within 1000 ms: (nobody has approved|cert-manager has)/],
  ] as const) {
    it(`refuses with the reason when the answer is to ${answer}`, async () => {
      signer.answer = answer;
      const retryable = code === 'IDENTITY_CA_UNAVAILABLE';
      const from = issuer({ timeoutMs: retryable ? 1_000 : 10_000 });
      await assert.rejects(sign(from), { code, message, retryable });
      await until(async () => (await left()) === 0, 'its end');
    });
  }

  it('takes configured roots, and refuses what does not lead to them', async () => {
    signer.answer = 'issue without CA';
    const issued = await sign(issuer({ roots: () => signer.root.roots }));
    assert.equal(issued.chain.at(-1), signer.root.roots);
    const other = FakeCertManager.newRoot('other');
    await assert.rejects(sign(issuer({ roots: () => other.roots })), {
      code: 'IDENTITY_CHAIN_INVALID',
    });
  });

  it('keeps the roots of before when the issuer changes its CA, and says so', async () => {
    const from = issuer();
    let told = 0;
    from.onChange(() => {
      told += 1;
    });
    await sign(from);
    const before = signer.root.roots;
    signer.root = FakeCertManager.newRoot('next');
    const issued = await sign(from);
    assert.equal(issued.chain.at(-1), signer.root.roots + before);
    await sign(from);
    assert.equal(told, 2);
  });

  it('makes no request for more than the identity', async () => {
    const from = issuer();
    const other = await createCertificateRequest('spiffe://cluster.local/ns/a/sa/c');
    const openssl = (names: string, ...more: readonly string[]): string =>
      execFileSync(
        'openssl',
        [
          ...['req', '-new', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
          ...['-subj', '/O=x', '-keyout', '/dev/null', '-addext', `subjectAltName=${names}`],
          ...more,
        ],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
      );
    for (const [csrPem, message] of [
      [other.csrPem, /not exactly/],
      [openssl(`URI:${URI},URI:spiffe://cluster.local/ns/a/sa/c`), /not exactly/],
      [openssl('DNS:istiod'), /not exactly/],
      [openssl(`URI:${URI},DNS:istiod`), /names that are no URIs/],
      [openssl(`URI:${URI}`, '-addext', 'basicConstraints=CA:TRUE'), /more than names/],
      ['junk', /PEM/],
    ] as const) {
      await assert.rejects(from.sign({ csrPem, identity: IDENTITY }), {
        code: 'IDENTITY_CSR_INVALID',
        message,
      });
    }
    const { csrPem } = await createCertificateRequest(URI);
    const foreign = { ...IDENTITY, trustDomain: 'other' };
    await assert.rejects(from.sign({ csrPem, identity: foreign }), /not exactly/);
    assert.equal(await left(), 0);
  });

  it('refuses beyond its bound, and is free again afterwards', async () => {
    signer.answer = 'ignore';
    const from = issuer({ inFlightMax: 1, timeoutMs: 1_000 });
    const first = assert.rejects(sign(from), { code: 'IDENTITY_CA_UNAVAILABLE' });
    await until(async () => (await left()) === 1, 'the first');
    await assert.rejects(sign(from), { code: 'IDENTITY_LIMIT', retryable: true });
    await first;
    signer.answer = 'issue';
    await sign(from);
  });

  it('is not there where cert-manager is not', async () => {
    const from = issuer();
    bed.server.setKinds([]);
    await assert.rejects(sign(from), {
      code: 'IDENTITY_CA_UNAVAILABLE',
      message: /cert-manager is not installed/,
    });
    bed.server.intercept = (_request, response) => {
      fail(response, 403, 'Forbidden');
      return true;
    };
    await assert.rejects(sign(from), { code: 'IDENTITY_CA_UNAVAILABLE', message: /403/ });
  });

  it('takes away what others left, and nothing that is young', async () => {
    signer.answer = 'ignore';
    const { csrPem } = await createCertificateRequest(URI);
    for (const [name, age] of [
      ['ambit-old', 3_600_000],
      ['ambit-young', 0],
    ] as const) {
      const object = certificateRequest({
        ...{ namespace: 'mesh', name, identity: URI, csrPem, ttlSeconds: 60, issuer: ISSUER },
      });
      const creationTimestamp = new Date(Date.now() - age).toISOString();
      bed.server.put('certificaterequests', {
        ...object,
        metadata: { ...object.metadata, creationTimestamp },
      });
      assert.deepEqual(object.metadata.labels, MANAGED_BY);
    }
    const from = issuer();
    // Whoever leads looks at once, and then every few minutes; what it watches may not be known yet.
    await until(async () => {
      const end = new AbortController();
      from.lead(end.signal);
      await systemClock.sleep(20);
      end.abort();
      await from.idle();
      return (await left()) === 1;
    }, 'one');
  });
});

describe('bothRoots', () => {
  it('has the roots of whichever is open, and follows both', async () => {
    const pending = CertificateAuthority.pending({
      trustDomain: 'x',
      clock: systemClock,
      defaultTtlSeconds: 60,
    });
    const from = issuer();
    const both = bothRoots(pending, from);
    let told = 0;
    const stop = both.onChange(() => {
      told += 1;
    });
    assert.equal(both.isOpen, false);
    await sign(from);
    assert.equal(both.rootBundlePem, signer.root.roots);
    const own = createOwnRoot({ trustDomain: 'x', nowMs: Date.now() });
    pending.use(own);
    assert.equal(both.rootBundlePem, own.roots + signer.root.roots);
    assert.equal(told, 2);
    stop();
    pending.use(FakeCertManager.newRoot('y'));
    assert.equal(told, 2);
  });
});

describe('parseIssuerReference', () => {
  for (const [text, found] of [
    ['ClusterIssuer/mesh', { kind: 'ClusterIssuer', name: 'mesh', group: 'cert-manager.io' }],
    ['Issuer/a.b-c', { kind: 'Issuer', name: 'a.b-c', group: 'cert-manager.io' }],
    [
      'AWSPCAClusterIssuer/pca/awspca.cert-manager.io',
      { kind: 'AWSPCAClusterIssuer', name: 'pca', group: 'awspca.cert-manager.io' },
    ],
    ['mesh', undefined],
    ['', undefined],
    ['ClusterIssuer/', undefined],
    ['/mesh', undefined],
    ['issuer/mesh', undefined],
    ['Issuer/Mesh', undefined],
    ['Issuer/mesh/', undefined],
    ['Issuer/a/b/c', undefined],
  ] as const) {
    it(`${found === undefined ? 'refuses' : 'reads'} "${text}"`, () => {
      assert.deepEqual(parseIssuerReference(text), found);
    });
  }
});
