/** Requests as cert-manager defines them, with a real API server and a fake signer. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { createCertificateRequest } from '@ambit/identity';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';

import { applyCrds } from '../../../crd/crds.testing.ts';
import { until } from '../../../until.testing.ts';
import { contextOn, type TestContext } from '../trust.testing.ts';
import { CertManagerIssuer } from './cert-manager-issuer.ts';
import { CERTIFICATE_REQUESTS } from './certificate-request.ts';
import { CERTIFICATE_REQUEST_CRD, FakeCertManager } from './fake-cert-manager.testing.ts';

const IDENTITY = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };

let cluster: TestCluster;
let context: TestContext;

before(async () => {
  cluster = await openTestCluster('certmanager');
  await applyCrds(cluster, [CERTIFICATE_REQUEST_CRD]);
  context = contextOn(cluster.http.credentials, await cluster.namespace());
  context.discovery.start();
});
after(async () => {
  await context.discovery.stop();
  context.http.close();
  await cluster[Symbol.asyncDispose]();
});

describe('CertManagerIssuer with an API server', () => {
  it('gives certificates, passes refusals on, and leaves no requests', async () => {
    const { namespace, client } = context;
    await using signer = new FakeCertManager(client, namespace);
    const issuer = new CertManagerIssuer({
      context,
      issuer: { kind: 'Issuer', name: 'mesh', group: 'cert-manager.io' },
      trustDomain: 'cluster.local',
      defaultTtlSeconds: 3_600,
    });
    issuer.start();
    const sign = async () => {
      const { csrPem } = await createCertificateRequest('spiffe://cluster.local/ns/a/sa/b');
      return await issuer.sign({ csrPem, identity: IDENTITY });
    };
    try {
      const issued = await Promise.all(Array.from({ length: 10 }, sign));
      assert.equal(new Set(issued.map(({ serialNumber }) => serialNumber)).size, 10);
      const leaf = new X509Certificate(issued[0]?.chain[0] ?? '');
      assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/a/sa/b');
      assert.equal(issuer.rootBundlePem, signer.root.roots);
      signer.answer = 'deny';
      await assert.rejects(sign(), { code: 'IDENTITY_CA_INVALID', message: /denied/ });
      const left = async () => (await client.list(CERTIFICATE_REQUESTS, { namespace })).length;
      await until(async () => (await left()) === 0, 'their end');
    } finally {
      await issuer.stop();
    }
  });
});
