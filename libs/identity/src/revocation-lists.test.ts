/** Lists made here and by openssl, what they say about chains, and the file that they come from. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import fc from 'fast-check';

import { CrlWatch } from './crl-watch.ts';
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

describe('CrlWatch', () => {
  class Rig {
    readonly clock = new FakeClock();
    readonly states: string[] = [];
    readonly problems: string[] = [];
    file: Buffer | undefined | Error;
    /** How many of the next changes are heard and not taken. */
    failing = 0;
    readonly watch = new CrlWatch({
      clock: this.clock,
      read: async () => {
        if (this.file instanceof Error) throw this.file;
        return await Promise.resolve(this.file);
      },
      onChange: (state) => {
        this.failing -= 1;
        this.states.push(this.failing >= 0 ? `not ${state.kind}` : state.kind);
        if (this.failing >= 0) throw new Error('no worker');
      },
      onProblem: (reason, { isInUse }) => {
        this.problems.push(`${isInUse ? 'kept' : 'none'}: ${reason}`);
      },
    });

    constructor(file: Buffer | undefined | Error) {
      this.file = file;
    }

    async next(file: Buffer | undefined | Error): Promise<void> {
      this.file = file;
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.clock.advance(5_000);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }

    async [Symbol.asyncDispose](): Promise<void> {
      await this.watch.stop();
    }
  }
  const one = Buffer.from(crl(root, []));
  const two = Buffer.from(crl(root, [good]));

  it('takes what is there, and every change of it', async () => {
    await using rig = new Rig(one);
    assert.equal(rig.watch.state.kind, 'unusable');
    await rig.watch.start();
    await rig.next(one);
    await rig.next(two);
    await rig.next(Buffer.from(''));
    assert.deepEqual(rig.states, ['lists', 'lists', 'none']);
    assert.deepEqual(rig.problems, []);
  });

  it('keeps what was good when the file is bad, gone, or cannot be read, and says so once', async () => {
    await using rig = new Rig(one);
    await rig.watch.start();
    await rig.next(Buffer.from('bad'));
    await rig.next(Buffer.from('bad'));
    await rig.next(undefined);
    await rig.next(new Error('EACCES'));
    assert.deepEqual(rig.states, ['lists']);
    assert.equal(rig.problems.length, 3);
    assert.ok(rig.problems.every((problem) => problem.startsWith('kept: ')));
    assert.equal(rig.watch.status.summaries.length, 1);
    assert.equal(rig.watch.status.problem, 'EACCES');
    await rig.next(two);
    assert.deepEqual(rig.states, ['lists', 'lists']);
    assert.equal(rig.watch.status.problem, undefined);
  });

  it('takes for in use only what was handed on, and tries again', async () => {
    await using rig = new Rig(one);
    await rig.watch.start();
    rig.failing = 2;
    await rig.next(two);
    assert.deepEqual(rig.watch.state, { kind: 'lists', file: one });
    assert.equal(rig.watch.status.summaries[0]?.revoked, 0);
    assert.match(rig.watch.status.problem ?? '', /cannot be handed on: no worker/);
    await rig.next(two);
    assert.deepEqual([rig.watch.status.failures, rig.problems.length], [2, 1]);
    await rig.next(two);
    assert.deepEqual(rig.watch.state, { kind: 'lists', file: two });
    assert.equal(rig.watch.status.summaries[0]?.revoked, 1);
    assert.equal(rig.watch.status.problem, undefined);
    await rig.next(two);
    assert.deepEqual(rig.states, ['lists', 'not lists', 'not lists', 'lists']);
    assert.deepEqual(rig.problems, ['kept: what is in the file cannot be handed on: no worker']);
  });

  it('hands on again what is in use, where some may have heard of another', async () => {
    await using rig = new Rig(one);
    await rig.watch.start();
    for (const file of [two, Buffer.from('')]) {
      rig.failing = 1;
      await rig.next(file);
      assert.deepEqual(rig.watch.state, { kind: 'lists', file: one });
      await rig.next(one);
      assert.equal(rig.watch.status.problem, undefined);
    }
    assert.deepEqual(rig.states, ['lists', 'not lists', 'lists', 'not none', 'lists']);
  });

  for (const [title, file, says, then] of [
    ['the first lists', one, ['not lists', 'not unusable', 'lists'], 'lists'],
    ['that there is no file', undefined, ['not none', 'not unusable', 'none'], 'none'],
    ['a bad file', Buffer.from('bad'), ['not unusable', 'not unusable', 'unusable'], 'unusable'],
    [
      'a file that cannot be read',
      new Error('x'),
      ['not unusable', 'not unusable', 'unusable'],
      'unusable',
    ],
  ] as const) {
    it(`trusts nobody while it cannot hand on ${title}`, async () => {
      await using rig = new Rig(file);
      rig.failing = 2;
      await rig.watch.start();
      assert.equal(rig.watch.state.kind, 'unusable');
      while (rig.states.length < 3) {
        assert.ok(rig.watch.status.problem !== undefined);
        await rig.next(file);
      }
      assert.deepEqual([rig.states, rig.watch.state.kind], [says, then]);
      assert.equal(rig.watch.status.failures, 2);
      await rig.next(file);
      assert.equal(rig.states.length, 3, 'and tells it once');
    });
  }

  it('trusts nobody when lists come where none were, and cannot be handed on', async () => {
    await using rig = new Rig(undefined);
    await rig.watch.start();
    rig.failing = 2;
    await rig.next(one);
    assert.equal(rig.watch.state.kind, 'unusable');
    assert.match(rig.problems[0] ?? '', /^none: .*no worker/);
    rig.failing = 1;
    await rig.next(undefined);
    assert.equal(rig.watch.state.kind, 'unusable', 'also when they go');
    await rig.next(undefined);
    await rig.next(one);
    assert.deepEqual(rig.states, [
      'none',
      'not lists',
      'not unusable',
      'not unusable',
      'unusable',
      'lists',
    ]);
  });

  it('trusts nobody with a bad file where none was ever good', async () => {
    await using rig = new Rig(Buffer.from('bad'));
    await rig.watch.start();
    assert.deepEqual(rig.states, ['unusable']);
    await rig.next(one);
    assert.deepEqual(rig.states, ['unusable', 'lists']);
  });

  it('has none where there is no file, and trusts nobody when a bad one comes', async () => {
    await using rig = new Rig(undefined);
    await rig.watch.start();
    assert.deepEqual(rig.states, ['none']);
    await rig.next(Buffer.from('bad'));
    assert.deepEqual(rig.states, ['none', 'unusable']);
    await rig.next(Buffer.from(''));
    assert.deepEqual(rig.states, ['none', 'unusable', 'none']);
    assert.equal(rig.watch.status.problem, undefined);
  });

  it('goes on to trust nobody when a bad file goes, and says so', async () => {
    await using rig = new Rig(Buffer.from('bad'));
    await rig.watch.start();
    await rig.next(undefined);
    await rig.next(undefined);
    assert.deepEqual(rig.states, ['unusable']);
    assert.equal(rig.problems.length, 2);
    assert.match(rig.problems[1] ?? '', /^none: .*gone/);
    assert.match(rig.watch.status.problem ?? '', /gone/);
    await rig.next(one);
    await rig.next(Buffer.from(''));
    await rig.next(undefined);
    assert.deepEqual(rig.states, ['unusable', 'lists', 'none']);
    assert.equal(rig.watch.status.problem, undefined);
  });
});
