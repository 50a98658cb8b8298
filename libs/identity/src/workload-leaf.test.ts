/** Leaves of every kind, as real certificates, and the reader of their DER under garbage. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';

import fc from 'fast-check';
import { octets } from './der.ts';
import { DerReader, TAG, timeOf } from './der-reader.ts';
import { IdentityError } from './errors.ts';
import { readLeaf } from './leaf.ts';
import { OID } from './oids.ts';
import { decodePem } from './pem.ts';
import { buildOddLeaf, type OddLeafOptions, type OddName } from './testing/index.ts';
import { recordings } from './testing-recordings.ts';
import { LeafError, type LeafProblem, workloadOfLeaf } from './workload-leaf.ts';
import { buildCa } from './x509.ts';
import { extension } from './x509-extensions.ts';

const ID = 'spiffe://cluster.local/ns/shop/sa/reviews';
const URI = 6;
const DNS = 2;
const NOW = Date.now();
const validity = { notBeforeMs: NOW - 60_000, notAfterMs: NOW + 3_600_000 };
const caKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const issuer = {
  certificate: buildCa({ privateKey: caKey.privateKey, organization: 't', validity }).certificate,
  privateKey: caKey.privateKey,
};
const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const uri = (value: string): OddName => ({ tag: URI, value });

function leaf(options: Partial<OddLeafOptions> = {}): Uint8Array {
  return buildOddLeaf({
    issuer,
    publicKey,
    validity,
    names: [uri(ID)],
    keyUsage: 0x80,
    extendedUsage: [OID.serverAuth, OID.clientAuth],
    isCa: false,
    ...options,
  }).certificate.raw;
}

describe('workloadOfLeaf', () => {
  it('names the holder of a certificate in the role that it is for', () => {
    const named = {
      uri: ID,
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'reviews',
    };
    assert.deepEqual(workloadOfLeaf(leaf(), 'client'), named);
    assert.deepEqual(workloadOfLeaf(leaf({ extendedUsage: [OID.serverAuth] }), 'server'), named);
    assert.deepEqual(workloadOfLeaf(leaf({ keyUsage: 0xa0 }), 'server'), named);
  });

  it('takes every leaf that the reference CA was recorded to sign, in both roles', () => {
    const chains = [...recordings.creates, ...recordings.requests].map(
      (one) => one.certChain ?? [],
    );
    let seen = 0;
    for (const [pem] of chains) {
      if (pem === undefined) continue;
      const [der] = decodePem(pem, { labels: ['CERTIFICATE'] });
      assert.ok(der);
      const { subjectAltName } = new X509Certificate(der);
      assert.equal(`URI:${workloadOfLeaf(der, 'client').uri}`, subjectAltName);
      workloadOfLeaf(der, 'server');
      seen += 1;
    }
    assert.ok(seen >= 8);
  });

  const refused: readonly (readonly [string, LeafProblem, Partial<OddLeafOptions>])[] = [
    ['no names', 'no_uri', { names: [] }],
    ['two SPIFFE ids', 'several_uris', { names: [uri(ID), uri(`${ID}2`)] }],
    ['one id twice', 'several_uris', { names: [uri(ID), uri(ID)] }],
    ['a second URI of another scheme', 'several_uris', { names: [uri(ID), uri('https://x/')] }],
    ['a DNS name beside', 'other_names', { names: [uri(ID), { tag: DNS, value: 'a.b' }] }],
    ['a DNS name alone', 'other_names', { names: [{ tag: DNS, value: 'a.b' }] }],
    ['an address beside', 'other_names', { names: [{ tag: 7, value: '\x7f\0\0\x01' }, uri(ID)] }],
    ['a mail address beside', 'other_names', { names: [uri(ID), { tag: 1, value: 'a@b' }] }],
    ['a registered id beside', 'other_names', { names: [uri(ID), { tag: 8, value: '*' }] }],
    ['a URI of another scheme', 'not_spiffe', { names: [uri('https://example.org/')] }],
    ['a NUL behind the id', 'not_spiffe', { names: [uri(`${ID}\0`)] }],
    ['a NUL and more behind the id', 'not_spiffe', { names: [uri(`${ID}\0.example.org`)] }],
    ['a NUL in the id', 'not_spiffe', { names: [uri('spiffe://cluster.local\0x/ns/a/sa/b')] }],
    ['a comma and a second id', 'not_spiffe', { names: [uri(`${ID}, URI:${ID}`)] }],
    ['a quote', 'not_spiffe', { names: [uri(`"${ID}"`)] }],
    ['a byte above 127', 'not_spiffe', { names: [uri(`${ID}\xe4`)] }],
    ['an empty URI', 'not_spiffe', { names: [uri('')] }],
    ['a CA', 'ca', { isCa: true, keyUsage: 0x80 }],
    ['the key usage of a CA', 'ca', { keyUsage: 0x86 }],
    ['no key usage', 'usage', { keyUsage: undefined }],
    ['keys for encipherment alone', 'usage', { keyUsage: 0x20 }],
    ['no extended key usage', 'usage', { extendedUsage: undefined }],
    ['the use of the other role', 'usage', { extendedUsage: [OID.serverAuth] }],
    ['a use that is none of TLS', 'usage', { extendedUsage: ['1.3.6.1.5.5.7.3.3'] }],
    ['any use', 'usage', { extendedUsage: ['2.5.29.37.0'] }],
    [
      'an extension twice',
      'malformed',
      { more: [extension(OID.subjectAltName, octets(Buffer.of(1)), { critical: false })] },
    ],
  ];
  for (const [what, problem, options] of refused) {
    it(`refuses ${what}: ${problem}`, () => {
      assert.throws(
        () => workloadOfLeaf(leaf(options), 'client'),
        (error) => error instanceof LeafError && error.problem === problem,
      );
    });
  }

  it('reads the names that were signed, whatever bytes they have', () => {
    const name = fc.record({
      tag: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 8),
      value: fc.oneof(
        fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((n) => String.fromCharCode(n)) }),
        fc.constantFrom(ID, `${ID}\0`, 'URI:x, DNS:y', '"', '\\', ','),
      ),
    });
    fc.assert(
      fc.property(fc.array(name, { maxLength: 6 }), (names) => {
        const facts = readLeaf(leaf({ names }));
        const uris = names.filter(({ tag }) => tag === URI).map(({ value }) => value);
        assert.deepEqual(facts.uris, uris);
        assert.equal(facts.otherNames.length > 0, uris.length < names.length);
      }),
      { numRuns: 60 },
    );
  });

  it('says no more of garbage than that it is garbage', () => {
    const good = Buffer.from(leaf());
    const change = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), change), (input) => {
        const bytes = input instanceof Uint8Array ? input : Buffer.from(good);
        if (!(input instanceof Uint8Array)) {
          for (const [at, byte] of input) bytes[at] = byte;
        }
        try {
          workloadOfLeaf(bytes, 'client');
        } catch (error) {
          assert.ok(error instanceof LeafError);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses what is too long, and what is cut at any byte', () => {
    const good = leaf();
    assert.throws(() => workloadOfLeaf(new Uint8Array(20_000), 'client'), LeafError);
    for (let length = 0; length < good.length; length += 1) {
      assert.throws(() => workloadOfLeaf(good.subarray(0, length), 'client'), LeafError);
    }
    assert.throws(() => workloadOfLeaf(Buffer.concat([good, Buffer.of(0)]), 'client'), LeafError);
  });
});

describe('DerReader', () => {
  const read = (...bytes: number[]): unknown => new DerReader(Buffer.from(bytes)).next();
  for (const [what, bytes] of [
    ['nothing', []],
    ['a tag alone', [0x30]],
    ['a length that is not there', [0x30, 0x82, 1]],
    ['an indefinite length', [0x30, 0x80, 0, 0]],
    ['a length of five bytes', [0x30, 0x85, 0, 0, 0, 0, 1, 0]],
    ['a length that is not the shortest', [0x04, 0x81, 1, 0]],
    ['a longer length with a zero', [0x04, 0x82, 0, 0x80]],
    ['a high tag', [0x1f, 1, 0]],
    ['a value beyond the end', [0x04, 2, 0]],
  ] as const) {
    it(`refuses ${what}`, () => assert.throws(() => read(...bytes), IdentityError));
  }

  const time = (tag: number, text: string): number =>
    timeOf(new DerReader(Buffer.concat([Buffer.of(tag, text.length), Buffer.from(text)])).next());
  it('reads both forms of a time, and nothing that is near', () => {
    assert.equal(time(TAG.utcTime, '261121160000Z'), Date.UTC(2026, 10, 21, 16));
    assert.equal(time(TAG.utcTime, '500101000000Z'), Date.UTC(1950, 0, 1));
    assert.equal(time(TAG.generalizedTime, '20510101000000Z'), Date.UTC(2051, 0, 1));
    for (const text of ['2611211600Z', '261121160000', '261321160000Z', '260230000000Z', '']) {
      assert.throws(() => time(TAG.utcTime, text), IdentityError, text);
    }
    assert.throws(() => time(TAG.generalizedTime, '20510101000000+0100'), IdentityError);
    assert.throws(() => time(TAG.integer, '261121160000Z'), IdentityError);
  });
});
