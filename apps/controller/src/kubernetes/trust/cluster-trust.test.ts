/** Who is said to sign: the CA of the mesh, or the issuer of cert-manager that does so for workloads. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createCertificateRequest, parseCertificates } from '@ambit/identity';

import { parseConfig } from '../../config.ts';
import { FakeCertManager } from './cert-manager/fake-cert-manager.testing.ts';
import { ClusterTrust } from './cluster-trust.ts';
import { openFakeBed } from './trust.testing.ts';

const IDENTITY = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };

describe('ClusterTrust', () => {
  it('shows the root of cert-manager where that signs, and says who can change it', async () => {
    await using bed = await openFakeBed();
    const context = bed.context();
    const config = parseConfig({
      AMBIT_CONFIG_SOURCE: 'kubernetes',
      AMBIT_CERT_MANAGER_ISSUER: 'ClusterIssuer/mesh',
      POD_NAMESPACE: 'mesh',
      POD_NAME: 'controller',
      AMBIT_WAYPOINT_IMAGE: 'ambit/waypoint',
    });
    const { kubernetes: settings } = config;
    assert.ok(settings);
    const trust = await ClusterTrust.create({ context, config, settings });
    await using signer = new FakeCertManager(context.client, 'mesh');
    try {
      await trust.open(() => undefined);
      const { csrPem } = await createCertificateRequest('spiffe://cluster.local/ns/a/sa/b');
      await trust.issuer.sign({ csrPem, identity: IDENTITY });
      const { roots, source, fixedBecause } = await trust.rotation({ trust: () => [] }).describe();
      const [root] = parseCertificates(signer.root.roots);
      assert.deepEqual(
        roots.map(({ fingerprint, use }) => [fingerprint, use]),
        [[root?.fingerprint256, 'signs']],
      );
      assert.equal(source, 'ClusterIssuer mesh of cert-manager');
      assert.match(fixedBecause ?? '', /its issuer has to get another root/);
    } finally {
      await trust.stop();
    }
  });
});
