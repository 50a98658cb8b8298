/** Lists made here and by openssl, and what they say about chains. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import fc from 'fast-check';

import { IdentityError } from './errors.ts';
import { decodePem } from './pem.ts';
import {
  CRL_FILE_BYTES_MAX,
  RevocationLists,
  type RevocationState,
  revocationsOf,
} from './revocation-lists.ts';
import { chainLinks } from './revocation-status.ts';
import { buildCrl, type CrlOptions } from './testing/index.ts';
import { buildCa, buildLeaf, type Issuer } from './x509.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const HOUR_MS = 3_600_000;
const validity = { notBeforeMs: NOW - 24 * HOUR_MS, notAfterMs: NOW + 24 * HOUR_MS };
const ec = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const rsa = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

function ca(
  commonName: string,
  options: { readonly issuer?: Issuer; readonly key?: KeyObject } = {},
): Issuer {
  const privateKey = options.key ?? ec();
  const { issuer } = options;
  const made = buildCa({
    privateKey,
    organization: 't',
    commonName,
    validity,
    ...(issuer && { issuer }),
  });
  return { certificate: made.certificate, privateKey };
}

function leafOf(issuer: Issuer): X509Certificate {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const names = [{ kind: 'uri', value: 'spiffe://cluster.local/ns/a/sa/b' } as const];
  return buildLeaf({ issuer, publicKey, names, validity }).certificate;
}

function crl(
  issuer: Issuer,
  revoked: readonly X509Certificate[],
  options: Partial<CrlOptions> = {},
): string {
  return buildCrl({
    issuer,
    thisUpdateMs: NOW - HOUR_MS,
    nextUpdateMs: NOW + HOUR_MS,
    revoked: revoked.map(({ serialNumber }) => serialNumber),
    ...options,
  });
}

const lists = (...pems: string[]): RevocationLists => {
  const parsed = RevocationLists.parse(Buffer.from(pems.join('')));
  assert.ok(parsed);
  return parsed;
};

const root = ca('root');
const issuing = ca('issuing', { issuer: root, key: rsa() });
const good = leafOf(issuing);
const bad = leafOf(issuing);
const chain = (leaf: X509Certificate) => chainLinks([leaf, issuing.certificate, root.certificate]);

describe('RevocationLists', () => {
  const kindOf = (of: RevocationLists, leaf: X509Certificate, nowMs = NOW): string | undefined =>
    of.problemOf(chain(leaf), nowMs)?.kind;

  it('names who is revoked, and by whom', () => {
    const one = lists(crl(issuing, [bad]));
    assert.equal(kindOf(one, good), undefined);
    const problem = one.problemOf(chain(bad), NOW);
    assert.equal(problem?.kind, 'revoked');
    assert.match(problem?.reason ?? '', /CN=issuing/);
    assert.deepEqual(one.summaries, [
      { thisUpdateMs: NOW - HOUR_MS, nextUpdateMs: NOW + HOUR_MS, revoked: 1 },
    ]);
  });

  it('finds an intermediate that is revoked', () => {
    assert.equal(kindOf(lists(crl(root, [issuing.certificate])), good), 'revoked');
  });

  it('finds serial numbers of every length and first digit', () => {
    for (const serial of ['1', '7f', '80', 'abc', '0fff', 'f'.repeat(40)]) {
      const one = lists(crl(issuing, [], { revoked: [serial] }));
      const link = { serial: serial.replace(/^0+/, ''), issuer: issuing.certificate };
      assert.equal(one.problemOf([link], NOW)?.kind, 'revoked', serial);
    }
    for (let n = 0; n < 40; n += 1) {
      const leaf = leafOf(root);
      const links = chainLinks([leaf, root.certificate]);
      assert.equal(lists(crl(root, [leaf])).problemOf(links, NOW)?.kind, 'revoked');
    }
  });

  it('says nothing of a CA that has no list', () => {
    assert.equal(kindOf(lists(crl(ca('other'), [bad])), bad), undefined);
  });

  it('does not know who is revoked by a list that is out of date, but who is on it', () => {
    const one = lists(crl(issuing, [bad]));
    assert.equal(kindOf(one, good, NOW + HOUR_MS - 1), undefined);
    assert.equal(kindOf(one, good, NOW + HOUR_MS), 'revocation_unknown');
    assert.equal(kindOf(one, bad, NOW + HOUR_MS), 'revoked');
    assert.equal(kindOf(one, good, NOW - 3 * HOUR_MS), 'revocation_unknown');
    const endless = lists(crl(issuing, [bad], { nextUpdateMs: undefined }));
    assert.equal(kindOf(endless, good, NOW + 20 * HOUR_MS), undefined);
    const both = lists(crl(issuing, [bad], { nextUpdateMs: NOW }), crl(issuing, []));
    assert.equal(kindOf(both, good), undefined);
    assert.equal(kindOf(both, bad), 'revoked');
  });

  it('believes no list that its CA has not signed', () => {
    const forged = crl({ certificate: issuing.certificate, privateKey: rsa() }, []);
    assert.equal(kindOf(lists(forged), good), 'revocation_unknown');
    const otherKind = crl({ certificate: issuing.certificate, privateKey: ec() }, []);
    assert.equal(kindOf(lists(otherKind), good), 'revocation_unknown');
    assert.equal(kindOf(lists(forged, crl(issuing, [bad])), good), undefined);
    assert.equal(kindOf(lists(forged, crl(issuing, [bad])), bad), 'revoked');
  });

  it('leaves out a list of another key of the same name, if it says so', () => {
    const [before, next] = [ca('same'), ca('same')];
    const leaf = leafOf(next);
    const links = chainLinks([leaf, next.certificate]);
    const keyId = Buffer.from('0102', 'hex');
    assert.equal(lists(crl(before, [], { keyId })).problemOf(links, NOW), undefined);
    assert.equal(lists(crl(before, [])).problemOf(links, NOW)?.kind, 'revocation_unknown');
  });

  it('finds a list that its CA has signed, whatever the list calls it', () => {
    const { privateKey } = issuing;
    const otherCase = { certificate: ca('ISSUING', { key: privateKey }).certificate, privateKey };
    for (const one of [
      lists(crl(otherCase, [bad])),
      lists(crl(issuing, [bad], { keyId: Buffer.alloc(20, 7) })),
    ]) {
      assert.equal(kindOf(one, bad), 'revoked');
      assert.equal(kindOf(one, good), undefined);
      assert.equal(kindOf(one, good, NOW + HOUR_MS), 'revocation_unknown');
    }
  });

  it('does not throw for a CA that it cannot read, and knows nobody below it but who is revoked', () => {
    const der = issuing.certificate.raw.toString('hex');
    const odd = der.replace('0603551d0f0101ff', '0603551d0f010100');
    assert.notEqual(odd, der);
    const issuer = new X509Certificate(Buffer.from(odd, 'hex'));
    const kindBelow = (of: RevocationLists, leaf: X509Certificate): string | undefined =>
      of.problemOf(chainLinks([leaf, issuer]), NOW)?.kind;
    const own = lists(crl(issuing, [bad]));
    assert.equal(kindBelow(own, bad), 'revoked');
    assert.equal(kindBelow(own, good), 'revocation_unknown');
    const namesake = crl(ca('issuing'), [], { keyId: Buffer.alloc(20, 7) });
    assert.equal(kindBelow(lists(namesake), good), 'revocation_unknown');
    assert.equal(kindBelow(lists(crl(root, [])), good), undefined);
  });

  it('knows nothing where it is to stand for lists that cannot be read', () => {
    assert.equal(kindOf(RevocationLists.unusable('bad'), good), 'revocation_unknown');
    const state: RevocationState = { kind: 'lists', file: Buffer.from('garbage') };
    assert.equal(revocationsOf(state)?.problemOf(chain(good), NOW)?.kind, 'revocation_unknown');
    assert.equal(revocationsOf({ kind: 'none' }), undefined);
  });

  it('reads one in DER, and nothing in an empty file', () => {
    const [der] = decodePem(crl(issuing, [bad]), { labels: ['X509 CRL'] });
    assert.ok(der);
    assert.equal(RevocationLists.parse(der)?.problemOf(chain(bad), NOW)?.kind, 'revoked');
    assert.equal(RevocationLists.parse(Buffer.from(' \n')), undefined);
  });

  const pem = (text: string): Buffer => Buffer.from(text);
  for (const [what, file] of [
    ['a certificate', pem(root.certificate.toString())],
    ['text before it', pem(`hello\n${crl(root, [])}`)],
    ['one that is cut', pem(crl(root, []).slice(0, -40))],
    [
      'a good and a bad one',
      pem(`${crl(root, [])}-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n`),
    ],
    ['a delta', pem(crl(root, [], { critical: { list: '2.5.29.27' } }))],
    ['a part', pem(crl(root, [], { critical: { list: '2.5.29.28' } }))],
    ['a delta that says so in passing', pem(crl(root, [], { inPassing: '2.5.29.27' }))],
    ['a part that says so in passing', pem(crl(root, [], { inPassing: '2.5.29.28' }))],
    ['one for other issuers', pem(crl(root, [good], { critical: { entry: '2.5.29.29' } }))],
    ['what is too long', Buffer.alloc(CRL_FILE_BYTES_MAX + 1, 0x20)],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => RevocationLists.parse(file), IdentityError);
    });
  }

  it('says no more of garbage than that it is garbage, and never takes it for the same list', () => {
    const [whole] = decodePem(crl(issuing, [bad]), { labels: ['X509 CRL'] });
    assert.ok(whole);
    const one = Buffer.from(whole);
    const changes = fc.array(fc.tuple(fc.nat(one.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(changes, (changed) => {
        const bytes = Buffer.from(one);
        for (const [at, byte] of changed) bytes[at] = byte;
        if (bytes.equals(one)) return;
        try {
          const kind = RevocationLists.parse(bytes)?.problemOf(chain(bad), NOW)?.kind;
          // A changed issuer is that of nobody here.
          assert.ok(kind !== 'revoked');
        } catch (error) {
          assert.ok(error instanceof IdentityError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a list that openssl made', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-crl-'));
  after(() => rmSync(folder, { recursive: true }));

  it('is understood', () => {
    const openssl = (...args: string[]): void => {
      execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
    };
    const key = issuing.privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(join(folder, 'ca.pem'), issuing.certificate.toString());
    writeFileSync(join(folder, 'ca.key'), key);
    writeFileSync(join(folder, 'bad.pem'), bad.toString());
    writeFileSync(join(folder, 'index.txt'), '');
    writeFileSync(join(folder, 'number'), '01\n');
    const settings = [
      'database=index.txt',
      'crlnumber=number',
      'default_md=sha256',
      'default_crl_days=1',
    ];
    writeFileSync(
      join(folder, 'c.cnf'),
      `[ca]\ndefault_ca=d\n[d]\n${settings.join('\n')}\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`,
    );
    const common = ['ca', '-config', 'c.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key'];
    openssl(...common, '-revoke', 'bad.pem', '-crl_reason', 'keyCompromise');
    openssl(...common, '-gencrl', '-out', 'crl.pem');
    const text = execFileSync('cat', [join(folder, 'crl.pem')]);
    const one = RevocationLists.parse(text);
    const now = Date.now();
    assert.equal(one?.problemOf(chain(bad), now)?.kind, 'revoked');
    assert.equal(one?.problemOf(chain(good), now), undefined);
  });
});
