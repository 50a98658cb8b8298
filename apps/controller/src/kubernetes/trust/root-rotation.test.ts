import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { beforeEach, describe, it } from 'node:test';
import { connect, createServer } from 'node:tls';

import { systemClock } from '@ambit/core';
import {
  CertificateAuthority,
  createCertificateRequest,
  createOwnRoot,
  parseCertificates,
  trustNames,
  verifyChain,
  type WorkloadCertificate,
} from '@ambit/identity';

import type { ProxyTrust } from '../../serve/proxy-table.ts';
import {
  type CaSecret,
  caSecretOf,
  caTextsOf,
  ownSecret,
  ROTATION_ANNOTATION,
} from './ca-secret.ts';
import { RootRotation } from './root-rotation.ts';
import { abortChange, applied, nextChange } from './rotation-steps.ts';
import { bedOfEachTest } from './trust.testing.ts';

const trustDomain = 'cluster.local';
const REF = { namespace: 'mesh', name: 'ambit-ca-secret' };
const now = { nowMs: Date.now(), trustDomain };

function firstSecret(): CaSecret {
  return caSecretOf(ownSecret(REF, createOwnRoot(now)));
}

async function certificateOf(secret: CaSecret): Promise<WorkloadCertificate> {
  const authority = CertificateAuthority.fromTexts({
    trustDomain,
    clock: systemClock,
    defaultTtlSeconds: 60,
    texts: caTextsOf(secret),
  });
  const identity = 'spiffe://cluster.local/ns/a/sa/b';
  const { csrPem, privateKeyPem } = await createCertificateRequest(identity);
  const id = { trustDomain, namespace: 'a', serviceAccount: 'b' };
  const { chain, serialNumber, notBeforeMs, notAfterMs } = authority.sign({ csrPem, identity: id });
  return {
    identity,
    privateKeyPem,
    chainPem: chain.slice(0, -1).join(''),
    rootsPem: chain.at(-1) ?? '',
    serialNumber,
    notBeforeMs,
    notAfterMs,
  };
}

/** Both believe each other, in a real handshake. */
async function trustEachOther(
  one: WorkloadCertificate,
  two: WorkloadCertificate,
): Promise<boolean> {
  const options = (own: WorkloadCertificate) => ({
    key: own.privateKeyPem,
    cert: own.chainPem,
    ca: own.rootsPem,
  });
  const server = createServer({ ...options(one), requestCert: true, rejectUnauthorized: true });
  server.on('secureConnection', (socket) => socket.end('ok'));
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({
    host: '127.0.0.1',
    port,
    ...options(two),
    checkServerIdentity: () => undefined,
  });
  socket.on('data', () => resolve(true));
  socket.on('error', () => resolve(false));
  socket.on('close', () => resolve(false));
  const isTrusted = await promise;
  socket.destroy();
  server.close();
  return isTrusted;
}

describe('the steps of a rotation', () => {
  it('keep every two proxies that are at most one step apart together', async () => {
    const a = firstSecret();
    const steps = [a];
    for (let left = 3; left > 0; left -= 1) {
      const last = steps.at(-1) ?? a;
      steps.push(applied(last, nextChange(last, now)));
    }
    const certificates = await Promise.all(steps.map(certificateOf));
    for (const [one, certificate] of certificates.entries()) {
      for (const [two, other] of certificates.entries()) {
        const isWanted = Math.abs(one - two) <= 1;
        const [leaf, ...intermediates] = parseCertificates(certificate.chainPem);
        assert.ok(leaf !== undefined);
        const roots = parseCertificates(other.rootsPem);
        const verify = () => verifyChain({ leaf, intermediates, roots, nowMs: Date.now() });
        if (isWanted) assert.doesNotThrow(verify, `${one} at ${two}`);
        if (isWanted) assert.ok(await trustEachOther(certificate, other), `${one} and ${two}`);
      }
    }
    assert.equal(
      await trustEachOther(certificates[0] ?? assert.fail(), certificates[3] ?? assert.fail()),
      false,
    );
    const bundles = steps.map(({ values }) => values['root-cert.pem']);
    assert.equal(new Set(bundles).size, 4);
    const last = steps.at(-1);
    assert.deepEqual(Object.keys(last?.values ?? {}).sort(), Object.keys(a.values).sort());
    assert.deepEqual(last?.annotations, {});
    assert.notEqual(last?.values['ca-key.pem'], a.values['ca-key.pem']);
  });

  it('can be given up before the next root signs, and not later', () => {
    const a = firstSecret();
    assert.equal(abortChange(a), undefined);
    const distributed = applied(a, nextChange(a, now));
    const change = abortChange(distributed);
    assert.ok(change !== undefined);
    assert.deepEqual(applied(distributed, change), a);
    const signing = applied(distributed, nextChange(distributed, now));
    assert.equal(abortChange(signing), undefined);
  });

  it('refuse a Secret whose next root is missing or broken, and a step that nobody knows', () => {
    const a = firstSecret();
    const step = (value: string) => ({ ...a, annotations: { [ROTATION_ANNOTATION]: value } });
    assert.throws(() => nextChange(step('distribute'), now), /ca-cert\.pem: it is missing/);
    assert.throws(() => nextChange(step('dance'), now), /"dance", allowed: distribute, sign/);
    const distributed = applied(a, nextChange(a, now));
    const values = { ...distributed.values, 'next-ca-key.pem': 'x' };
    assert.throws(() => nextChange({ ...distributed, values }, now), /no private key/);
  });
});

describe('RootRotation', () => {
  const bed = bedOfEachTest();
  beforeEach(() => {
    bed.server.put('secrets', ownSecret(REF, createOwnRoot(now)));
  });

  const stored = (): CaSecret => {
    const object = bed.server.get('secrets', 'mesh/ambit-ca-secret');
    assert.ok(object !== undefined);
    return caSecretOf(object);
  };
  const namesAt = async (secret: CaSecret): Promise<ReadonlySet<string>> =>
    trustNames({
      fileRoots: secret.values['root-cert.pem'],
      certificates: [await certificateOf(secret)],
    });
  function rotation(proxies: () => readonly ProxyTrust[], secretName = REF.name): RootRotation {
    return new RootRotation({ context: bed.context(), secretName, trustDomain, proxies });
  }

  it('goes through its steps while proxies follow, and not before they have', async () => {
    let agent = await namesAt(stored());
    const r = rotation(() => [{ name: 'agent node1', names: agent }]);
    const old = new X509Certificate(caTextsOf(stored()).certificate).fingerprint256;
    for (const [step, next, uses] of [
      ['distribute', 'sign', ['signs', 'next']],
      ['sign', 'finish', ['signs', 'trusted']],
      ['none', 'distribute', ['signs']],
    ] as const) {
      const after = await r.next();
      assert.equal(after.step, step);
      assert.equal(after.next, next);
      assert.deepEqual(
        after.roots.map(({ use }) => use),
        uses,
      );
      assert.equal(after.waiting.length, 1);
      await assert.rejects(r.next(), {
        code: 'CONTROLLER_ROTATION_REFUSED',
        retryable: true,
        message: /1 of 1 proxies .* agent node1 \(/,
      });
      agent = await namesAt(stored());
      assert.deepEqual((await r.describe()).waiting, []);
    }
    const { roots } = await r.describe();
    assert.notEqual(roots[0]?.fingerprint, old);
  });

  it('waits for a proxy whose file, or one of whose certificates, is behind', async () => {
    const before = stored();
    let names = await namesAt(before);
    const r = rotation(() => [{ name: 'waypoint a/b', names }]);
    await r.next();
    const now1 = await certificateOf(stored());
    const fileBehind = { fileRoots: before.values['root-cert.pem'], certificates: [now1] };
    const oneBehind = {
      fileRoots: stored().values['root-cert.pem'],
      certificates: [now1, await certificateOf(before)],
    };
    for (const [state, reason] of [
      [fileBehind, /root file lacks/],
      [oneBehind, /came with other roots/],
    ] as const) {
      names = trustNames(state);
      assert.match((await r.describe()).waiting[0]?.reason ?? '', reason);
    }
    await assert.rejects(r.next());
  });

  it('takes a step without waiting when it is told to', async () => {
    const r = rotation(() => [{ name: 'ztunnel', names: undefined }]);
    await assert.rejects(r.next(), /does not say which roots/);
    assert.equal((await r.next({ isForced: true })).step, 'distribute');
    assert.equal((await r.abort()).step, 'none');
    await assert.rejects(r.abort(), { code: 'CONTROLLER_ROTATION_REFUSED' });
  });

  it('takes one step for somebody who asks twice', async () => {
    const r = rotation(() => []);
    assert.equal((await r.next({ from: 'none' })).step, 'distribute');
    await assert.rejects(r.next({ from: 'none' }), {
      code: 'CONTROLLER_ROTATION_REFUSED',
      message: /is at "distribute", not at "none"/,
    });
  });

  it('lets one of two steps at once win', async () => {
    const [one, two] = [rotation(() => []), rotation(() => [])];
    const results = await Promise.allSettled([one.next(), two.next()]);
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    const lost = results.find((result) => result.status === 'rejected');
    assert.match(String(lost?.reason), /changed the Secret meanwhile/);
  });

  it('leaves a Secret of somebody else, and one that is not there', async () => {
    const object = ownSecret(REF, createOwnRoot(now));
    bed.server.put('secrets', { ...object, metadata: { ...object.metadata, labels: {} } });
    for (const r of [rotation(() => []), rotation(() => [], 'other'), rotation(() => [], '')]) {
      assert.ok((await r.describe()).fixedBecause !== undefined);
      await assert.rejects(r.next(), { code: 'CONTROLLER_ROTATION_REFUSED', retryable: false });
      await assert.rejects(r.abort(), { code: 'CONTROLLER_ROTATION_REFUSED' });
    }
  });
});
