import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import {
  buildCa,
  type CaTexts,
  CertificateAuthority,
  createOwnRoot,
  type ServingCertificate,
} from '@ambit/identity';
import { buildCrl } from '@ambit/identity/testing';
import type { AdminCertificate } from '@ambit/model';
import { createLogger, LogLevels } from '@ambit/telemetry';

import {
  IssuedCertificates,
  openAuthority,
  ServingRenewal,
  tokenVerifier,
  warnOfStrangeCrls,
} from './authority.ts';
import { type ControllerConfig, parseConfig } from './config.ts';
import { StateFile } from './status/state-file.ts';

const LOG = createLogger({
  scope: 'test',
  levels: new LogLevels('off'),
  sink: { write: () => undefined },
  wallNow: () => 0,
});

describe('the authority', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ambit-ca-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const config = (env: Readonly<Record<string, string>> = {}): ControllerConfig =>
    parseConfig({ AMBIT_CONFIG_DIRS: '/x', AMBIT_STATE_DIR: folder, ...env });
  const root = (): string => readFileSync(join(folder, 'ca', 'root-cert.pem'), 'utf8');

  it('keeps its own root across restarts', async () => {
    const first = await openAuthority(config(), systemClock);
    assert.equal(root().trim(), first.rootBundlePem.trim());
    const second = await openAuthority(config(), systemClock);
    assert.equal(second.rootBundlePem, first.rootBundlePem);
  });

  it('warns of revocation lists that none of its CAs has signed, now and after a change', () => {
    const nowMs = systemClock.wallNow();
    const [ours, other] = ['one', 'two'].map((commonName) =>
      createOwnRoot({ trustDomain: 't', nowMs, commonName }),
    );
    assert.ok(ours && other);
    const listOf = ({ certificate, key }: CaTexts): string =>
      buildCrl({
        issuer: {
          certificate: new X509Certificate(certificate),
          privateKey: createPrivateKey(key),
        },
        thisUpdateMs: nowMs,
        nextUpdateMs: undefined,
        revoked: [],
      });
    const lines: string[] = [];
    const log = createLogger({
      scope: 'ca',
      levels: new LogLevels('warn'),
      sink: { write: (line) => lines.push(line) },
      wallNow: () => 0,
    });
    const authority = CertificateAuthority.fromTexts({
      trustDomain: 't',
      clock: systemClock,
      defaultTtlSeconds: 60,
      texts: { ...ours, crl: listOf(ours) },
    });
    warnOfStrangeCrls(authority, log);
    assert.deepEqual(lines, []);
    authority.use({ ...ours, crl: listOf(ours) + listOf(other) });
    assert.match(lines.join(''), /"lists":1\b/);
    authority.use({ ...ours, roots: ours.roots + other.roots, crl: listOf(ours) + listOf(other) });
    assert.equal(lines.length, 1);
  });

  it('publishes the roots of a cacerts folder, and signs below them', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const nowMs = systemClock.wallNow();
    const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 86_400_000 };
    const made = buildCa({ privateKey, organization: 'test', validity });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    for (const [name, text] of [
      ['ca-cert.pem', made.pem],
      ['ca-key.pem', key],
      ['root-cert.pem', made.pem],
    ] as const) {
      writeFileSync(join(folder, name), text);
    }
    const authority = await openAuthority(config({ AMBIT_CACERTS_DIR: folder }), systemClock);
    assert.equal(root().trim(), made.pem.trim());
    const serving = authority.issueServing({ names: ['localhost'], ttlSeconds: 60 });
    assert.equal(serving.rootBundlePem.trim(), made.pem.trim());
  });

  it('renews the serving certificate at half of its life, and stops when told', async () => {
    const clock = new FakeClock();
    const authority = await openAuthority(config(), clock);
    const renewal = new ServingRenewal({
      authority,
      config: config({ AMBIT_SERVING_NAMES: 'a.b' }),
      clock,
      log: LOG,
    });
    const used: ServingCertificate[] = [];
    renewal.start((certificate) => used.push(certificate));
    const half = 43_200_000;
    for (const [ms, expected] of [
      [half - 1, 0],
      [1, 1],
      [half, 2],
    ] as const) {
      clock.advance(ms);
      await new Promise(setImmediate);
      assert.equal(used.length, expected);
    }
    renewal.stop();
    clock.advance(half);
    await new Promise(setImmediate);
    assert.equal(used.length, 2);
  });

  it('believes no token without keys', async () => {
    await assert.rejects(tokenVerifier(config(), systemClock).verify('x'), {
      code: 'IDENTITY_TOKEN_KEYS_UNAVAILABLE',
    });
  });

  it('remembers the last certificate of an identity at a proxy, a bounded number, across restarts', async () => {
    const open = async (nowMs: number): Promise<IssuedCertificates> => {
      const path = join(folder, 'certificates.json');
      const file = new StateFile<readonly AdminCertificate[]>({
        path,
        clock: systemClock,
        log: LOG,
      });
      const certificates = new IssuedCertificates(file, () => nowMs);
      await certificates.restore();
      return certificates;
    };
    const issued = await open(5);
    const note = (index: number, serialNumber: string): void =>
      issued.note({
        kind: 'issued',
        caller: {
          namespace: 'n',
          serviceAccount: 's',
          pod: { name: `p${index}`, uid: '' },
          node: '',
          expiresAtMs: 0,
        },
        identity: 'spiffe://td/ns/n/sa/s',
        serialNumber,
        notAfterMs: 9,
      });
    note(1, 'a');
    note(1, 'b');
    assert.deepEqual(
      issued.list().map(({ serial }) => serial),
      ['b'],
    );
    for (let index = 0; index < 5_100; index += 1) note(index, 'x');
    assert.equal(issued.list().length, 5_000);
    await issued.flush();
    assert.equal((await open(5)).list().length, 5_000);
    assert.equal((await open(9)).list().length, 0, 'expired ones are forgotten');
  });
});
