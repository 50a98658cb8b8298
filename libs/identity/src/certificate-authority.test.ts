import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';

import { CertificateAuthority } from './certificate-authority.ts';
import { verifyChain } from './chain.ts';
import { createCertificateRequest } from './csr.ts';
import { parseCertificates } from './pem.ts';
import { recordings } from './testing-recordings.ts';
import { spiffeIdOfCertificate } from './workload-leaf.ts';

const folder = await mkdtemp(join(tmpdir(), 'ambit-ca-'));
after(() => rm(folder, { recursive: true }));

const ID = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews' };
const TEXT = 'spiffe://cluster.local/ns/shop/sa/reviews';
const DAY = 86_400;

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', cwd: folder, stdio: 'pipe' });
}

async function ownCa(name: string, clock = systemClock): Promise<CertificateAuthority> {
  return await CertificateAuthority.openOwn({
    folder: join(folder, name),
    trustDomain: 'cluster.local',
    clock,
    defaultTtlSeconds: DAY,
  });
}

/** Root, middle and issuing CA by openssl, as operators make them. */
async function makeCacerts(name: string, newKey: string): Promise<string> {
  const at = join(folder, name);
  await mkdir(at);
  const ca = (who: string, by: string | undefined): void => {
    const key = ['-newkey', ...newKey.split(' '), '-nodes', '-keyout', `${name}/${who}-key.pem`];
    const out = ['-out', `${name}/${who}.pem`, '-days', '30', '-subj', `/O=Example/CN=${who}`];
    const from =
      by === undefined ? [] : ['-CA', `${name}/${by}.pem`, '-CAkey', `${name}/${by}-key.pem`];
    openssl(
      ...['req', '-x509', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
      ...['-addext', 'basicConstraints=critical,CA:TRUE', ...key, ...out, ...from],
    );
  };
  ca('root', undefined);
  ca('middle', 'root');
  ca('issuing', 'middle');
  const text = (who: string): Promise<string> => readFile(join(at, `${who}.pem`), 'utf8');
  await writeFile(join(at, 'ca-cert.pem'), await text('issuing'));
  await writeFile(join(at, 'ca-key.pem'), await text('issuing-key'));
  await writeFile(
    join(at, 'cert-chain.pem'),
    (await text('issuing')) + (await text('middle')) + (await text('root')),
  );
  await writeFile(join(at, 'root-cert.pem'), await text('root'));
  return at;
}

describe('CertificateAuthority with its own root', () => {
  it('signs a leaf of the shape that the reference signs', async () => {
    const ca = await ownCa('shape');
    const { csrPem } = await createCertificateRequest(TEXT);
    const { chain } = ca.sign({ csrPem, identity: ID, ttlSeconds: 600 });
    assert.equal(chain.length, 2);
    await writeFile(join(folder, 'leaf.pem'), chain[0] ?? '');
    await writeFile(join(folder, 'root.pem'), chain[1] ?? '');
    assert.match(
      openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', 'root.pem', 'leaf.pem'),
      /OK/,
    );
    assert.match(
      openssl('verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'root.pem', 'leaf.pem'),
      /OK/,
    );
    const shape = (pem: string): string =>
      execFileSync(
        'openssl',
        [
          'x509',
          '-noout',
          '-subject',
          '-ext',
          'keyUsage,extendedKeyUsage,basicConstraints,subjectAltName',
        ],
        { input: pem, encoding: 'utf8' },
      );
    const [recorded] = recordings.creates;
    assert.equal(
      shape(chain[0] ?? '').replace('shop/sa/reviews', 'bookshop/sa/client'),
      shape(recorded?.certChain[0] ?? ''),
    );
  });

  it('stamps the authorised identity, not the one in the request', async () => {
    const ca = await ownCa('stamp');
    const { csrPem } = await createCertificateRequest(
      'spiffe://cluster.local/ns/kube-system/sa/admin',
    );
    const { chain } = ca.sign({ csrPem, identity: ID });
    assert.deepEqual(spiffeIdOfCertificate(new X509Certificate(chain[0] ?? '')), ID);
  });

  it('starts two minutes back, ends after the lifetime from now, never after the longest or its issuer', async () => {
    const clock = new FakeClock();
    const ca = await ownCa('life', clock);
    const { csrPem } = await createCertificateRequest(TEXT);
    const now = clock.wallNow();
    const short = ca.sign({ csrPem, identity: ID, ttlSeconds: 20 });
    assert.equal(short.notBeforeMs, now - 120_000);
    assert.equal(short.notAfterMs, now + 20_000);
    for (const ttlSeconds of [0, 90 * DAY]) {
      assert.equal(ca.sign({ csrPem, identity: ID, ttlSeconds }).notAfterMs, now + DAY * 1000);
    }
    clock.advance((3650 - 1) * DAY * 1000);
    const last = ca.sign({ csrPem, identity: ID, ttlSeconds: 90 * DAY });
    assert.equal(last.notAfterMs, new X509Certificate(ca.rootBundlePem).validToDate.getTime());
    clock.advance(2 * DAY * 1000);
    assert.throws(() => ca.sign({ csrPem, identity: ID }), { code: 'IDENTITY_CA_INVALID' });
  });

  for (const ttlSeconds of [100 * DAY, 90 * DAY + 1, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`refuses a lifetime of ${ttlSeconds} s`, async () => {
      const ca = await ownCa('ttl');
      const { csrPem } = await createCertificateRequest(TEXT);
      assert.throws(() => ca.sign({ csrPem, identity: ID, ttlSeconds }), {
        code: 'IDENTITY_LIFETIME_INVALID',
      });
    });
  }

  it('refuses another trust domain and a bad request', async () => {
    const ca = await ownCa('refuse');
    const { csrPem } = await createCertificateRequest(TEXT);
    assert.throws(() => ca.sign({ csrPem, identity: { ...ID, trustDomain: 'other' } }), {
      code: 'IDENTITY_SPIFFE_INVALID',
    });
    assert.throws(() => ca.sign({ csrPem: 'x', identity: ID }), { code: 'IDENTITY_CSR_INVALID' });
  });

  it('gives each certificate another serial number', async () => {
    const ca = await ownCa('serial');
    const { csrPem } = await createCertificateRequest(TEXT);
    const serials = Array.from(
      { length: 20 },
      () => ca.sign({ csrPem, identity: ID }).serialNumber,
    );
    assert.equal(new Set(serials).size, 20);
    assert.ok(serials.every((serial) => serial.length >= 30 && serial.length <= 32));
  });

  it('keeps its root over a restart, with a key that only its user reads', async () => {
    const first = await ownCa('restart');
    const second = await ownCa('restart');
    assert.equal(second.rootBundlePem, first.rootBundlePem);
    assert.equal((await stat(join(folder, 'restart', 'ca-key.pem'))).mode & 0o777, 0o600);
  });

  it('goes on after a crash between key and root, and refuses a root whose key is lost', async () => {
    await ownCa('crash');
    await rm(join(folder, 'crash', 'root-cert.pem'));
    await ownCa('crash');
    await rm(join(folder, 'crash', 'ca-key.pem'));
    await assert.rejects(ownCa('crash'), { code: 'IDENTITY_CA_INVALID' });
  });

  it('refuses a key that is not the root’s', async () => {
    await ownCa('swap-a');
    await ownCa('swap-b');
    await writeFile(
      join(folder, 'swap-a', 'ca-key.pem'),
      await readFile(join(folder, 'swap-b', 'ca-key.pem')),
    );
    await assert.rejects(ownCa('swap-a'), /does not belong/);
  });

  it('makes a serving certificate for names and addresses', async () => {
    const ca = await ownCa('serving');
    const serving = ca.issueServing({
      names: ['istiod.istio-system.svc', '127.0.0.1', '::1', 'fd00:1::1.2.3.4'],
      ttlSeconds: DAY,
    });
    const [leaf] = parseCertificates(serving.certificateChainPem);
    assert.ok(leaf);
    assert.equal(leaf.checkHost('istiod.istio-system.svc'), 'istiod.istio-system.svc');
    assert.equal(leaf.checkHost('other.svc'), undefined);
    assert.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1');
    assert.equal(leaf.checkIP('::1'), '::1');
    assert.equal(leaf.checkIP('fd00:1::102:304'), 'fd00:1::102:304');
    assert.equal(leaf.checkIP('127.0.0.2'), undefined);
    assert.throws(() => ca.issueServing({ names: [], ttlSeconds: 60 }), {
      code: 'IDENTITY_DER_INVALID',
    });
    assert.throws(() => ca.issueServing({ names: ['a b'], ttlSeconds: 60 }), {
      code: 'IDENTITY_DER_INVALID',
    });
  });
});

describe('CertificateAuthority with a cacerts folder', () => {
  for (const [kind, newKey] of [
    ['EC', 'ec -pkeyopt ec_paramgen_curve:P-384'],
    ['RSA', 'rsa:2048'],
  ] as const) {
    it(`signs with an ${kind} issuer and answers leaf, intermediates, root bundle`, async () => {
      const at = await makeCacerts(`cacerts-${kind}`, newKey);
      const ca = await CertificateAuthority.openCacerts({
        folder: at,
        trustDomain: 'cluster.local',
        clock: systemClock,
        defaultTtlSeconds: DAY,
      });
      const { csrPem } = await createCertificateRequest(TEXT);
      const { chain } = ca.sign({ csrPem, identity: ID });
      const subjects = chain.map(
        (pem) => new X509Certificate(pem).subject?.split('\n').at(-1) ?? '',
      );
      // The reference repeats the root in the middle when cert-chain.pem holds it. Ours does not.
      assert.deepEqual(subjects, ['', 'CN=issuing', 'CN=middle', 'CN=root']);
      await writeFile(join(at, 'leaf.pem'), chain[0] ?? '');
      await writeFile(join(at, 'untrusted.pem'), chain.slice(1, -1).join(''));
      assert.match(
        openssl(
          'verify',
          '-x509_strict',
          '-CAfile',
          join(at, 'root-cert.pem'),
          '-untrusted',
          join(at, 'untrusted.pem'),
          join(at, 'leaf.pem'),
        ),
        /OK/,
      );
    });
  }

  it('takes new content at the next reading, and keeps the old when it is broken', async () => {
    const at = await makeCacerts('rotating', 'ec -pkeyopt ec_paramgen_curve:P-256');
    const next = await makeCacerts('next', 'ec -pkeyopt ec_paramgen_curve:P-256');
    const clock = new FakeClock({ wallStartMs: Date.now() });
    const ca = await CertificateAuthority.openCacerts({
      folder: at,
      trustDomain: 'cluster.local',
      clock,
      defaultTtlSeconds: DAY,
    });
    const old = ca.rootBundlePem;
    let changes = 0;
    ca.onChange(() => {
      changes += 1;
    });
    assert.equal(await ca.reload(), false);
    await writeFile(join(at, 'ca-cert.pem'), await readFile(join(next, 'ca-cert.pem')));
    await assert.rejects(ca.reload(), /does not belong/);
    assert.equal(ca.rootBundlePem, old);
    for (const name of ['ca-key.pem', 'cert-chain.pem']) {
      await writeFile(join(at, name), await readFile(join(next, name)));
    }
    await assert.rejects(ca.reload(), { code: 'IDENTITY_CHAIN_INVALID' });
    await writeFile(
      join(at, 'root-cert.pem'),
      old + (await readFile(join(next, 'root-cert.pem'), 'utf8')),
    );
    assert.equal(await ca.reload(), true);
    assert.equal(changes, 1);
    assert.equal(parseCertificates(ca.rootBundlePem).length, 2);
    const { csrPem } = await createCertificateRequest(TEXT);
    const { chain } = ca.sign({ csrPem, identity: ID });
    assert.equal(
      parseCertificates(chain.at(-1) ?? '').length,
      2,
      'the whole bundle is the last element',
    );
  });

  it('watches until told to stop and reports a broken folder once', async () => {
    const at = await makeCacerts('watched', 'ec -pkeyopt ec_paramgen_curve:P-256');
    const clock = new FakeClock({ wallStartMs: Date.now() });
    const ca = await CertificateAuthority.openCacerts({
      folder: at,
      trustDomain: 'cluster.local',
      clock,
      defaultTtlSeconds: DAY,
    });
    await rm(join(at, 'ca-key.pem'));
    const stop = new AbortController();
    const reported = Promise.withResolvers<unknown>();
    let count = 0;
    const watching = ca.watch({
      signal: stop.signal,
      onError: (error) => {
        count += 1;
        reported.resolve(error);
      },
    });
    clock.advance(5_000);
    assert.match(String(await reported.promise), /needs ca-cert.pem/);
    clock.advance(5_000);
    stop.abort();
    await watching;
    assert.equal(count, 1);
  });

  it('refuses a folder that is not whole', async () => {
    await mkdir(join(folder, 'empty'));
    const open = CertificateAuthority.openCacerts({
      folder: join(folder, 'empty'),
      trustDomain: 'x',
      clock: systemClock,
      defaultTtlSeconds: DAY,
    });
    await assert.rejects(open, { code: 'IDENTITY_CA_INVALID' });
  });
});

describe('verifyChain', () => {
  it('accepts every chain that the reference answered', () => {
    for (const { name, certChain } of recordings.creates) {
      const [leaf, ...rest] = certChain.slice(0, -1).flatMap((pem) => parseCertificates(pem));
      assert.ok(leaf);
      const roots = parseCertificates(certChain.at(-1) ?? '');
      const nowMs = leaf.validToDate.getTime() - 1000;
      const depth = verifyChain({ leaf, intermediates: rest, roots, nowMs }).length;
      assert.equal(depth, name.includes('intermediate') ? 4 : 2, name);
    }
  });

  it('refuses a stranger, an expired leaf, one of the future, and a leaf as issuer', async () => {
    const clock = new FakeClock();
    const ca = await ownCa('chain-a', clock);
    const other = await ownCa('chain-b', clock);
    const { csrPem } = await createCertificateRequest(TEXT);
    const { chain, notAfterMs, notBeforeMs } = ca.sign({ csrPem, identity: ID });
    const leaf = new X509Certificate(chain[0] ?? '');
    const roots = parseCertificates(ca.rootBundlePem);
    const base = { leaf, intermediates: [], roots, nowMs: clock.wallNow() };
    verifyChain(base);
    const refused = [
      { ...base, roots: parseCertificates(other.rootBundlePem) },
      { ...base, nowMs: notAfterMs },
      { ...base, nowMs: notBeforeMs - 1 },
      { ...base, roots: [leaf] },
      { ...base, roots: [], intermediates: roots },
    ];
    for (const [index, options] of refused.entries()) {
      assert.throws(() => verifyChain(options), { code: 'IDENTITY_CHAIN_INVALID' }, String(index));
    }
    verifyChain({ ...base, nowMs: notBeforeMs - 1, skewMs: 1_000_000 });

    // Names and key ids fit, only the signature does not.
    const forged = Buffer.from(leaf.raw);
    forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1);
    assert.throws(() => verifyChain({ ...base, leaf: new X509Certificate(forged) }), {
      code: 'IDENTITY_CHAIN_INVALID',
    });
  });
});
