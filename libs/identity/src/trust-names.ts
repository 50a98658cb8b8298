/**
 * What a proxy says of the roots it has, so that the control plane knows when a root may go.
 *
 * It is said as names: `file/ROOT` for each root in the file that it verifies the control plane with, and
 * `certificate/BUNDLE/ROOT` for what came with its certificates: the bundle as a whole, and the root they lead to.
 * A root is named by its key, because a renewed one has the same.
 */
import { createHash, type X509Certificate } from 'node:crypto';

import type { WorkloadCertificate } from './certificate-fetch.ts';
import { verifyChain } from './chain.ts';
import { exportSpki } from './csr.ts';
import { IdentityError } from './errors.ts';
import { parseCertificates } from './pem.ts';

const NAME_LENGTH = 32;
/** A proxy that has no certificate, or none that leads to its own roots. */
const NONE = 'none';

/** What a certificate of one CA looks like in the names. */
export interface TrustMark {
  readonly bundle: string;
  readonly root: string;
}

/** One name for each certificate's state, and the roots of the file. */
export function trustNames(state: {
  /** PEM; undefined or unusable: there is none. */
  readonly fileRoots: string | undefined;
  readonly certificates: readonly WorkloadCertificate[];
}): ReadonlySet<string> {
  const names = new Set<string>();
  for (const root of rootsOf(state.fileRoots)) names.add(`file/${rootName(root)}`);
  for (const certificate of state.certificates) {
    const { bundle, root } = markOf(certificate);
    names.add(`certificate/${bundle}/${root}`);
  }
  if (state.certificates.length === 0) names.add(`certificate/${NONE}`);
  return names;
}

/** The mark of certificates that a CA with this bundle and issuer signs. */
export function trustMark(options: {
  readonly rootBundlePem: string;
  /** The certificate that signs, and those between it and the root. */
  readonly issuerPem: string;
  readonly chainPem?: string;
}): TrustMark {
  const roots = rootsOf(options.rootBundlePem);
  const chain = rootsOf(options.chainPem);
  const [issuer] = rootsOf(options.issuerPem);
  return { bundle: bundleName(roots), root: anchorName(issuer, chain, roots) };
}

/**
 * Why a proxy that says these names is not there yet: it must trust every root of the bundle in its file, and all its
 * certificates must have that bundle and lead to that root. Undefined: it is.
 */
export function trustProblem(
  names: ReadonlySet<string> | undefined,
  wanted: { readonly rootBundlePem: string; readonly mark: TrustMark },
): string | undefined {
  if (names === undefined || names.size === 0) return 'it does not say which roots it has';
  const { bundle, root } = wanted.mark;
  for (const one of rootsOf(wanted.rootBundlePem)) {
    if (!names.has(`file/${rootName(one)}`)) return 'its root file lacks a root';
  }
  for (const name of names) {
    const [kind, itsBundle, itsRoot] = name.split('/');
    if (kind !== 'certificate' || itsBundle === NONE) continue;
    if (itsBundle !== bundle) return 'a certificate came with other roots';
    if (itsRoot !== root) return 'a certificate is signed under another root';
  }
  return undefined;
}

const marks = new WeakMap<WorkloadCertificate, TrustMark>();

/** Parsing is dear and certificates do not change. */
function markOf(certificate: WorkloadCertificate): TrustMark {
  const known = marks.get(certificate);
  if (known !== undefined) return known;
  const roots = rootsOf(certificate.rootsPem);
  const [leaf, ...chain] = rootsOf(certificate.chainPem);
  const mark = { bundle: bundleName(roots), root: anchorName(leaf, chain, roots) };
  marks.set(certificate, mark);
  return mark;
}

function anchorName(
  leaf: X509Certificate | undefined,
  intermediates: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): string {
  if (leaf === undefined) return NONE;
  try {
    const nowMs = leaf.validFromDate.getTime();
    const whole = verifyChain({ leaf, intermediates, roots, nowMs, skewMs: Infinity });
    const root = whole.at(-1);
    return root === undefined ? NONE : rootName(root);
  } catch (error) {
    if (error instanceof IdentityError) return NONE;
    throw error;
  }
}

/** The order does not count. */
function bundleName(roots: readonly X509Certificate[]): string {
  return digest([...new Set(roots.map(rootName))].sort().join(' '));
}

function rootName(root: X509Certificate): string {
  return digest(exportSpki(root.publicKey));
}

function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, NAME_LENGTH);
}

function rootsOf(pem: string | undefined): readonly X509Certificate[] {
  if (pem === undefined || pem.trim() === '') return [];
  try {
    return parseCertificates(pem);
  } catch (error) {
    if (error instanceof IdentityError) return [];
    throw error;
  }
}
