/** Identity: what certificates say, and what is left without one. That they are renewed unnoticed is `certificates.waiting`. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  admin,
  type Bed,
  certificatesOf,
  clientYaml,
  echoYaml,
  makeBed,
  namespaceYaml,
  serviceYaml,
} from './bed.ts';
import type { Caller } from './caller.ts';

const TTL_SECONDS = 20;

describe('identity', () => {
  let bed: Bed;
  let client: Caller;
  before(async () => {
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceYaml('web'),
        clientYaml({ name: 'client', node: 'node1' }),
      ].join(''),
      { extraEnv: certificatesOf(TTL_SECONDS) },
    );
    client = bed.caller('shop/client');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  it('is one certificate a service account, of the mesh, for a short time', async () => {
    await client.echo('http://web/');
    const text = JSON.stringify(await admin(bed.lab, 'agent/node1', '/certs'));
    assert.match(text, /spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client/);
    assert.doesNotMatch(text, /sa\/web/, 'this node has no pod of that account');
    assert.doesNotMatch(text, /PRIVATE KEY/);
    const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(
      text.replaceAll('\\n', '\n'),
    )?.[0];
    if (pem !== undefined) {
      const certificate = new X509Certificate(pem);
      assert.match(certificate.subjectAltName ?? '', /URI:spiffe:/);
    }
  });

  it('stops serving when it expires and cannot be renewed', async () => {
    await bed.lab.stopComponent('controller');
    await bed.lab.waitFor(async () => (await client.http({ url: 'http://web/' })).status !== 200, {
      what: 'the certificate to expire',
      timeoutMs: (TTL_SECONDS + 15) * 1_000,
    });
    const capture = await bed.lab.capture();
    await client.http({ url: 'http://web/canary-without-certificate' });
    await capture.stop();
    assert.equal(capture.contains('canary-without-certificate'), false, 'and never in clear');
    bed.lab.startComponent('controller');
    await bed.lab.waitFor(async () => (await client.http({ url: 'http://web/' })).status === 200, {
      what: 'a new certificate',
      timeoutMs: 40_000,
    });
  });
});
