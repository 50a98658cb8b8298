/**
 * What a CA signs with, and where it comes from: a root of its own in a folder, or a folder of
 * `cacerts` shape that someone else fills.
 *
 * Material is used only when it is whole: key and certificate belong together, the certificate is a
 * CA, the chain leads to the bundle. Anything else is refused and the old stays in use.
 */
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  type X509Certificate,
} from 'node:crypto';
import { join } from 'node:path';

import { verifyChain } from './chain.ts';
import { IdentityError, reasonOf } from './errors.ts';
import { readIfPresent, writeAtomically } from './files.ts';
import { encodePem, parseCertificates } from './pem.ts';
import { RevocationLists } from './revocation-lists.ts';
import { BACKDATE_MS, buildCa, type Issuer } from './x509.ts';

const ROOT_LIFETIME_MS = 3650 * 86_400_000;

export interface CaMaterial {
  readonly issuer: Issuer;
  /** From the issuer up, one PEM each, without roots; empty when the issuer is a root. */
  readonly intermediates: readonly string[];
  /** One or more certificates. */
  readonly rootBundlePem: string;
  readonly roots: readonly X509Certificate[];
  /** Revocation lists of the mesh's CAs; undefined: there are none. Empty takes those away that proxies have. */
  readonly crlPem: string | undefined;
  /** Lists of it that none of the CAs here has signed: of a CA elsewhere in the mesh, or there by mistake. */
  readonly strangeCrls: number;
}

export interface CaTexts {
  readonly certificate: string;
  readonly key: string;
  /** May be empty, may hold the issuer and the root. */
  readonly chain: string;
  readonly roots: string;
  /** Absent: nothing is said of revocations. */
  readonly crl?: string;
}

/** Reads or makes `root-cert.pem` and `ca-key.pem` (0600) in `folder`. */
export async function openOwnRoot({
  folder,
  trustDomain,
  nowMs,
}: {
  readonly folder: string;
  readonly trustDomain: string;
  readonly nowMs: number;
}): Promise<CaMaterial> {
  const keyPath = join(folder, 'ca-key.pem');
  const rootPath = join(folder, 'root-cert.pem');
  const [key, root] = await Promise.all([readIfPresent(keyPath), readIfPresent(rootPath)]);
  if (root !== undefined && key === undefined) {
    throw invalid(
      `${folder} has root-cert.pem but no ca-key.pem; a new root would be trusted by nobody who holds the old one`,
    );
  }
  if (root !== undefined && key !== undefined) {
    return parseCaMaterial({ certificate: root, key, chain: '', roots: root }, { nowMs });
  }
  // A key alone is the trace of a crash between the two writes: it has signed nothing yet.
  const made = createOwnRoot({ trustDomain, nowMs, ...(key === undefined ? {} : { key }) });
  if (key === undefined) {
    await writeAtomically(keyPath, made.key, { mode: 0o600 });
  }
  await writeAtomically(rootPath, made.roots, { mode: 0o644 });
  return parseCaMaterial(made, { nowMs });
}

/**
 * A new root (EC P-256, ten years). `key`: PEM of the key it is for; absent: a new one. Two roots of one
 * mesh with different keys need different `commonName`s.
 */
export function createOwnRoot({
  trustDomain,
  nowMs,
  key = newKeyPem(),
  commonName,
}: {
  readonly trustDomain: string;
  readonly nowMs: number;
  readonly key?: string;
  readonly commonName?: string;
}): CaTexts {
  const { pem } = buildCa({
    privateKey: parseKey(key),
    organization: trustDomain,
    ...(commonName === undefined ? {} : { commonName }),
    validity: { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + ROOT_LIFETIME_MS },
  });
  return { certificate: pem, key, chain: '', roots: pem };
}

/** `ca-cert.pem`, `ca-key.pem`, `root-cert.pem`, and what may be absent: `cert-chain.pem` and `ca-crl.pem`. */
export async function readCacertsTexts(folder: string): Promise<CaTexts> {
  const [certificate, key, chain, roots, crl] = await Promise.all(
    ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem', 'ca-crl.pem'].map((name) =>
      readIfPresent(join(folder, name)),
    ),
  );
  if (certificate === undefined || key === undefined || roots === undefined) {
    throw invalid(`${folder} needs ca-cert.pem, ca-key.pem and root-cert.pem`);
  }
  return {
    certificate,
    key,
    chain: chain ?? '',
    roots,
    ...(crl === undefined ? {} : { crl }),
  };
}

export function parseCaMaterial(texts: CaTexts, { nowMs }: { readonly nowMs: number }): CaMaterial {
  const privateKey = parseKey(texts.key);
  const [certificate, second] = parseCertificates(texts.certificate);
  if (certificate === undefined || second !== undefined) {
    throw invalid('ca-cert.pem must hold one certificate');
  }
  if (!certificate.ca) {
    throw invalid('ca-cert.pem is not a CA certificate');
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw invalid('ca-key.pem does not belong to ca-cert.pem');
  }
  const roots = parseCertificates(texts.roots);
  const given = texts.chain.trim() === '' ? [] : parseCertificates(texts.chain);
  const chain = verifyChain({ leaf: certificate, intermediates: given, roots, nowMs });
  const isRoot = (one: X509Certificate): boolean =>
    roots.some((root) => root.fingerprint256 === one.fingerprint256);
  return {
    issuer: { certificate, privateKey },
    intermediates: chain
      .filter((one) => !isRoot(one))
      .map((one) => encodePem('CERTIFICATE', one.raw)),
    rootBundlePem: roots.map((root) => encodePem('CERTIFICATE', root.raw)).join(''),
    roots,
    crlPem: texts.crl,
    strangeCrls: crlsOf(texts)?.strangersTo([certificate, ...given, ...roots]) ?? 0,
  };
}

/** Proxies would refuse everybody for a list that they cannot read. */
function crlsOf({ crl = '' }: CaTexts): RevocationLists | undefined {
  try {
    return RevocationLists.parse(Buffer.from(crl));
  } catch (cause) {
    throw new IdentityError('IDENTITY_CA_INVALID', `ca-crl.pem: ${reasonOf(cause)}`, { cause });
  }
}

function parseKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new IdentityError('IDENTITY_CA_INVALID', `CA key refused: ${reasonOf(cause)}`, { cause });
  }
}

function newKeyPem(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function invalid(why: string): IdentityError {
  return new IdentityError('IDENTITY_CA_INVALID', `CA material refused: ${why}`);
}
