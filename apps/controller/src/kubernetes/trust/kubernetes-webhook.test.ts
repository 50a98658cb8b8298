import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect } from 'node:tls';

import { systemClock } from '@ambit/core';
import { CertificateAuthority, createOwnRoot } from '@ambit/identity';
import { createRegistry, silentLogger } from '@ambit/telemetry';

import { INLINE } from '../../webhook/https.testing.ts';
import { KubernetesWebhook, serviceNames } from './kubernetes-webhook.ts';

const NAMES = serviceNames({
  service: 'ambit-controller',
  namespace: 'mesh',
  clusterDomain: 'cluster.local',
});

const newRoot = (commonName: string) =>
  createOwnRoot({ trustDomain: 'cluster.local', nowMs: Date.now(), commonName });

/** The names in the certificate of the server; rejects if it is not trusted by that name. */
async function namesAt(port: number, ca: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const servername = 'ambit-controller.mesh.svc';
  const socket = connect({ host: '127.0.0.1', port, ca, servername }, () => {
    resolve(String(socket.getPeerCertificate().subjectaltname));
    socket.end();
  });
  socket.on('error', reject);
  return await promise;
}

describe('KubernetesWebhook', () => {
  it('serves under the names of its Service, and with a new root when the CA has one', async () => {
    const authority = CertificateAuthority.fromTexts({
      trustDomain: 'cluster.local',
      clock: systemClock,
      defaultTtlSeconds: 60,
      texts: newRoot('one'),
    });
    const webhook = new KubernetesWebhook({
      authority,
      names: NAMES,
      clock: systemClock,
      log: silentLogger(),
      registry: createRegistry(),
      host: '127.0.0.1',
      port: 0,
      validator: INLINE,
    });
    const port = await webhook.start();
    try {
      const before = authority.rootBundlePem;
      assert.match(await namesAt(port, before), /ambit-controller\.mesh\.svc\.cluster\.local/);
      authority.use(newRoot('two'));
      await namesAt(port, authority.rootBundlePem);
      await assert.rejects(namesAt(port, before));
    } finally {
      await webhook.stop();
      await webhook.stop();
    }
  });

  it('does not start before there is a CA', async () => {
    let closed = 0;
    const webhook = new KubernetesWebhook({
      authority: CertificateAuthority.pending({
        trustDomain: 'cluster.local',
        clock: systemClock,
        defaultTtlSeconds: 60,
      }),
      names: NAMES,
      clock: systemClock,
      log: silentLogger(),
      registry: createRegistry(),
      port: 0,
      validator: {
        ...INLINE,
        close: () => {
          closed += 1;
          return Promise.resolve();
        },
      },
    });
    await assert.rejects(webhook.start(), { code: 'IDENTITY_CA_UNAVAILABLE' });
    await webhook.stop();
    assert.equal(closed, 0);
  });
});
