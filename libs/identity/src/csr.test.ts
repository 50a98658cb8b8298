import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { createCertificateRequest, exportSpki, parseCsrDer, parseCsrPem } from './csr.ts';
import { IdentityError } from './errors.ts';
import { decodePem, encodePem } from './pem.ts';
import { recordings } from './testing-recordings.ts';

const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/reviews';

function openssl(args: readonly string[], input?: string): string {
  return execFileSync('openssl', [...args], {
    input,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

describe('createCertificateRequest', () => {
  it('makes what openssl reads as a P-256 request without subject and with one critical URI', async () => {
    const { csrPem, privateKeyPem } = await createCertificateRequest(IDENTITY);
    const text = openssl(['req', '-text', '-noout', '-verify'], csrPem);
    assert.match(text, /Subject:\s*\n/);
    assert.match(text, /NIST CURVE: P-256/);
    assert.match(
      text,
      /Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/reviews\n/,
    );
    assert.match(text, /ecdsa-with-SHA256/);
    assert.match(privateKeyPem, /BEGIN PRIVATE KEY/);
  });

  it('uses a new key each time and reads back its own request', async () => {
    const first = await createCertificateRequest(IDENTITY);
    const second = await createCertificateRequest(IDENTITY);
    assert.notEqual(first.privateKeyPem, second.privateKeyPem);
    const parsed = parseCsrPem(first.csrPem);
    assert.deepEqual(parsed.uris, [IDENTITY]);
    assert.deepEqual(exportSpki(parsed.publicKey), exportSpki(createPublicKey(first.privateKey)));
  });

  it('has the structure of the reference client, field by field', async () => {
    const [recorded] = recordings.creates;
    assert.ok(recorded);
    const { csrPem } = await createCertificateRequest(recorded.identity);
    // Everything but the values of key and signature: the same asn1parse skeleton.
    const skeleton = (pem: string): string =>
      openssl(['asn1parse'], pem).replaceAll(/^ *\d+:|l= *\d+|BIT STRING.*$/gm, '');
    assert.equal(skeleton(csrPem), skeleton(recorded.csrPem));
  });

  it('refuses an identity that is none', async () => {
    await assert.rejects(createCertificateRequest('reviews'), { code: 'IDENTITY_SPIFFE_INVALID' });
  });
});

describe('parseCsrPem', () => {
  for (const { name, csrPem, identity, certChain } of recordings.creates) {
    it(`reads the recorded ${name}: the key is the one that the reference certified`, () => {
      const parsed = parseCsrPem(csrPem);
      assert.deepEqual(parsed.uris, [identity]);
      assert.equal(parsed.otherNames, 0);
      assert.deepEqual(parsed.otherAttributes, []);
      const leaf = new X509Certificate(certChain[0] ?? '');
      assert.deepEqual(exportSpki(parsed.publicKey), exportSpki(leaf.publicKey));
    });
  }

  for (const { name, csrPem, status, message } of recordings.requests) {
    const isBadCsr = status === 'InvalidArgument' && message.includes('not properly encoded');
    it(`${isBadCsr ? 'refuses' : 'reads'} the recorded ${name} as the reference did`, () => {
      if (isBadCsr) {
        assert.throws(() => parseCsrPem(csrPem), { code: 'IDENTITY_CSR_INVALID' });
      } else {
        parseCsrPem(csrPem);
      }
    });
  }

  it('agrees with openssl on requests of openssl, for each kind of key', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-csr-'));
    try {
      const kinds: Record<string, readonly string[]> = {
        'P-256': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
        'P-384': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384'],
        'RSA-2048': ['-newkey', 'rsa:2048'],
      };
      for (const [name, args] of Object.entries(kinds)) {
        const csr = openssl([
          ...['req', '-new', '-nodes', '-subj', '/O=x/CN=y', '-keyout', join(folder, 'key.pem')],
          ...['-addext', `subjectAltName=URI:${IDENTITY},DNS:a.example`],
          ...['-addext', 'keyUsage=digitalSignature'],
          ...args,
        ]);
        const parsed = parseCsrPem(csr);
        assert.deepEqual(parsed.uris, [IDENTITY], name);
        assert.equal(parsed.otherNames, 1, name);
        assert.deepEqual(parsed.otherAttributes, ['2.5.29.15'], name);
        const key = createPublicKey(readFileSync(join(folder, 'key.pem')));
        assert.deepEqual(exportSpki(parsed.publicKey), exportSpki(key), name);
      }
      const refused: Record<string, readonly string[]> = {
        'RSA-1024': ['-newkey', 'rsa:1024'],
        Ed25519: ['-newkey', 'ed25519'],
        secp256k1: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
        'SHA-1': ['-newkey', 'rsa:2048', '-sha1'],
      };
      for (const [name, args] of Object.entries(refused)) {
        const csr = openssl([
          'req',
          '-new',
          '-nodes',
          '-subj',
          '/',
          '-keyout',
          '/dev/null',
          ...args,
        ]);
        assert.throws(() => parseCsrPem(csr), { code: 'IDENTITY_CSR_INVALID' }, name);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses two requests, another label, a signature by another key', async () => {
    const { csrPem } = await createCertificateRequest(IDENTITY);
    const other = await createCertificateRequest(IDENTITY);
    const [der] = decodePem(csrPem, { labels: ['CERTIFICATE REQUEST'] });
    const [otherDer] = decodePem(other.csrPem, { labels: ['CERTIFICATE REQUEST'] });
    assert.ok(der && otherDer);
    // Both are as long, or nearly: find the key bits of one and put them into the other.
    const spki = exportSpki(parseCsrDer(der).publicKey);
    const swapped = Buffer.from(der);
    swapped.set(exportSpki(parseCsrDer(otherDer).publicKey), swapped.indexOf(spki));
    const refused = {
      twice: csrPem + csrPem,
      label: encodePem('CERTIFICATE', der),
      swapped: encodePem('CERTIFICATE REQUEST', swapped),
      trailing: encodePem('CERTIFICATE REQUEST', Buffer.concat([der, Buffer.of(0)])),
      long: encodePem('CERTIFICATE REQUEST', Buffer.alloc(20_000)),
    };
    for (const [name, pem] of Object.entries(refused)) {
      assert.throws(() => parseCsrPem(pem), { code: 'IDENTITY_CSR_INVALID' }, name);
    }
  });
});

describe('parseCsrDer', () => {
  it('refuses every change of a byte, with its own error', async () => {
    const { csrPem } = await createCertificateRequest(IDENTITY);
    const [der] = decodePem(csrPem, { labels: ['CERTIFICATE REQUEST'] });
    assert.ok(der);
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(der);
        changed[at] = (changed[at] ?? 0) ^ flip;
        assert.throws(() => parseCsrDer(changed), { code: 'IDENTITY_CSR_INVALID' });
      }),
      { numRuns: 300 },
    );
  });

  it('survives any bytes and deep nesting', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.throws(
          () => parseCsrDer(bytes),
          (error) => error instanceof IdentityError,
        );
      }),
    );
    let nested = Buffer.from([0x30, 0x00]);
    for (let depth = 0; depth < 60; depth += 1) {
      nested = Buffer.concat([Buffer.from([0x30, nested.length]), nested]);
    }
    assert.throws(() => parseCsrDer(nested), { code: 'IDENTITY_CSR_INVALID' });
  });

  it('refuses an Ed25519 key even when it signs correctly', () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    assert.throws(() => parseCsrDer(exportSpki(publicKey)), { code: 'IDENTITY_CSR_INVALID' });
  });
});
