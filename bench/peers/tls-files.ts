/** A CA and leaves for the peers, of the same kind as the mesh's own: P-256, SPIFFE names. Good for one day. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildCa, buildLeaf, type Issuer } from '@ambit/identity';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

export type TlsName = 'client' | 'proxy' | 'server';

export interface TlsFiles {
  readonly ca: string;
  readonly leaves: Readonly<Record<TlsName, TlsLeaf>>;
}

export interface TlsLeaf {
  readonly certificate: string;
  readonly key: string;
  /** Both in one file, as HAProxy wants them. */
  readonly combined: string;
  /** The DNS name in it, which the other side checks. */
  readonly host: string;
}

export function writeTlsFiles(folder: string): TlsFiles {
  const now = Date.now();
  const validity = { notBeforeMs: now - HOUR_MS, notAfterMs: now + DAY_MS };
  const caKey = createPrivateKey(newKey());
  const made = buildCa({ privateKey: caKey, organization: 'bench', validity });
  const issuer: Issuer = { certificate: made.certificate, privateKey: caKey };
  const ca = join(folder, 'ca.pem');
  writeFileSync(ca, made.pem);
  const leaf = (name: TlsName): TlsLeaf => {
    const host = `${name}.bench`;
    const key = newKey();
    const { pem } = buildLeaf({
      issuer,
      publicKey: createPublicKey(key),
      names: [
        { kind: 'uri', value: `spiffe://cluster.local/ns/bench/sa/${name}` },
        { kind: 'dns', value: host },
      ],
      validity,
    });
    const path = (end: string): string => join(folder, `${name}.${end}`);
    const files = { certificate: path('crt'), key: path('key'), combined: path('pem'), host };
    writeFileSync(files.certificate, pem);
    writeFileSync(files.key, key, { mode: 0o600 });
    writeFileSync(files.combined, `${pem}${key}`, { mode: 0o600 });
    return files;
  };
  return { ca, leaves: { client: leaf('client'), proxy: leaf('proxy'), server: leaf('server') } };
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}
