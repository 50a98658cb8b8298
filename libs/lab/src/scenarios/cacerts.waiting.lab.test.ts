/**
 * A CA of somebody else's: the controller signs with the intermediate of a `cacerts` folder, below a root whose key it
 * never sees.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildCa, type Issuer } from '@ambit/identity';
import { buildCrl } from '@ambit/identity/testing';
import { rootCertificate } from '../mesh-programs.ts';
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
import { startLoads } from './loads.ts';

const DAY_MS = 86_400_000;
const ORGANIZATION = 'somebody else';
/** So that certificates below a new intermediate come soon. */
const TTL_SECONDS = 20;

interface Authority extends Issuer {
  readonly pem: string;
}

function makeCa(commonName: string, issuer?: Issuer): Authority {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const now = Date.now();
  const { pem, certificate } = buildCa({
    privateKey,
    organization: ORGANIZATION,
    commonName,
    validity: { notBeforeMs: now - DAY_MS, notAfterMs: now + DAY_MS },
    ...(issuer === undefined ? {} : { issuer }),
  });
  return { pem, certificate, privateKey };
}

const keyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

/** As it is dumped. */
const serialOf = ({ certificate }: Authority): string =>
  BigInt(`0x${certificate.serialNumber}`).toString();

interface DumpedIdentity {
  readonly identity: string;
  readonly certChain: readonly { readonly serialNumber: string }[];
  readonly rootCerts: readonly { readonly serialNumber: string }[];
}

describe('a cacerts folder', () => {
  let folder: string;
  let bed: Bed;
  let client: Caller;
  const root = makeCa('root');
  const intermediate = makeCa('intermediate', root);
  /** The key stands in the folder before the certificate, so for a moment they do not belong together. */
  const write = ({ pem, privateKey }: Authority): void => {
    for (const [name, text] of [
      ['root-cert.pem', root.pem],
      ['ca-key.pem', keyPem(privateKey)],
      ['ca-cert.pem', pem],
      ['cert-chain.pem', pem + root.pem],
    ] as const) {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
    }
  };
  /** Of an account on a node: what signed it, and what it trusts. */
  const signers = async (account = 'client', node = 'node1'): Promise<readonly string[]> => {
    const dumps = await admin(bed.lab, `agent/${node}`, '/certs');
    const own = (dumps as readonly DumpedIdentity[]).find(({ identity }) =>
      identity.endsWith(`/ns/shop/sa/${account}`),
    );
    assert.ok(own, `a certificate of ${account}`);
    return [...own.certChain.slice(1), ...own.rootCerts].map(({ serialNumber }) => serialNumber);
  };
  const revoke = (...revoked: readonly Authority[]): void => {
    const list = buildCrl({
      issuer: root,
      thisUpdateMs: Date.now(),
      nextUpdateMs: Date.now() + DAY_MS,
      revoked: revoked.map(({ certificate }) => certificate.serialNumber),
    });
    writeFileSync(join(folder, 'ca-crl.pem'), list);
  };
  const metrics = async (agent = 'agent/node1'): Promise<string> =>
    String(await admin(bed.lab, agent, '/metrics'));
  const told = async (count: number): Promise<void> => {
    for (const agent of ['agent/node1', 'agent/node2']) {
      await bed.lab.waitFor(
        async () => (await metrics(agent)).includes(`ambit_crl_revoked_certificates ${count}\n`),
        { what: `the list at ${agent}`, timeoutMs: 60_000 },
      );
    }
  };
  const reaches = async (): Promise<boolean> => {
    try {
      await client.echo('http://web/');
      return true;
    } catch {
      return false;
    }
  };
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ambit-cacerts-'));
    write(intermediate);
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceYaml('web'),
        clientYaml({ name: 'client', node: 'node1' }),
      ].join(''),
      {
        extraEnv: certificatesOf(TTL_SECONDS, { AMBIT_CACERTS_DIR: folder }),
      },
    );
    client = bed.caller('shop/client');
  });
  after(async () => {
    await bed[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it('gives the root that everybody trusts, and no key is made beside it', () => {
    const published = rootCertificate(bed.lab.paths);
    assert.equal(readFileSync(published, 'utf8').trim(), root.pem.trim());
    assert.equal(existsSync(join(bed.lab.paths.controller, 'ca', 'ca-key.pem')), false);
  });

  it('signs what the agents show each other, through the intermediate', async () => {
    const capture = await bed.lab.capture();
    await client.echo('http://web/canary-below-another-root');
    await capture.stop();
    assert.ok(capture.frames().length > 0);
    assert.equal(capture.contains('canary-below-another-root'), false);
    assert.deepEqual(await signers(), [serialOf(intermediate), serialOf(root)]);
  });

  it('may get another intermediate, and nobody notices; nor that the former is revoked, until it is the one', async () => {
    const next = makeCa('next', root);
    const stopLoads = await startLoads(client, 'http://web/', 50);
    write(next);
    // Whichever end is still below the former one when that is revoked is refused, as it should be.
    for (const [account, node] of [
      ['client', 'node1'],
      ['web', 'node2'],
    ] as const) {
      await bed.lab.waitFor(async () => (await signers(account, node))[0] === serialOf(next), {
        what: `a certificate of ${account} below the new intermediate`,
        timeoutMs: 60_000,
      });
    }
    await stopLoads(0);
    revoke(intermediate);
    await told(1);
    // A session that was made below the former one is ended, and the next connection makes another.
    await bed.lab.waitFor(reaches, { what: 'an answer below the new one', timeoutMs: 10_000 });
    await client.echo('http://web/');
    revoke(next);
    await bed.lab.waitFor(async () => !(await reaches()), {
      what: 'a refusal below an intermediate that is revoked',
      timeoutMs: 60_000,
    });
    // Whichever agent hears of the list first: of a session that stands, or in the next handshake.
    const all = await Promise.all([metrics(), metrics('agent/node2')]);
    assert.match(
      all.join(''),
      /ambit_tunnel_sessions_revoked_total [1-9]|ambit_tunnel_peers_refused_total\{[^}]*reason="revoked"[^}]*\} [1-9]/,
    );
    writeFileSync(join(folder, 'ca-crl.pem'), '');
    await bed.lab.waitFor(reaches, { what: 'a list that is taken away', timeoutMs: 60_000 });
  });
});
