/**
 * Chains: does this leaf lead to one of these roots now?
 *
 * Every link is checked by name and by signature, every certificate by date, every issuer by being a
 * CA. TLS does the same by OpenSSL; this is for what is checked outside of a handshake.
 */
import type { X509Certificate } from 'node:crypto';

import { IdentityError } from './errors.ts';

const DEPTH_MAX = 8;

export interface ChainOptions {
  readonly leaf: X509Certificate;
  readonly intermediates: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
  readonly nowMs: number;
  /** How far ahead of us the issuer's clock may be. */
  readonly skewMs?: number;
}

/** Leaf, intermediates, root. Throws IDENTITY_CHAIN_INVALID with the first thing that is wrong. */
export function verifyChain(options: ChainOptions): X509Certificate[] {
  const { leaf, intermediates, roots } = options;
  requireDates(leaf, options, 'leaf');
  const chain = [leaf];
  let current = leaf;
  while (chain.length <= DEPTH_MAX) {
    const issuers = roots.filter((candidate) => isIssuedBy(current, candidate));
    // A renewed root has the key of the old one, which may have expired and still be in the bundle.
    const root = issuers.find((one) => dateProblem(one, options) === undefined) ?? issuers[0];
    if (root !== undefined) {
      requireDates(root, options, 'root');
      return current.fingerprint256 === root.fingerprint256 ? chain : [...chain, root];
    }
    const issuer = intermediates.find(
      (candidate) => !chain.includes(candidate) && isIssuedBy(current, candidate),
    );
    if (issuer === undefined) {
      throw invalid('it does not lead to a trusted root');
    }
    requireDates(issuer, options, 'intermediate');
    chain.push(issuer);
    current = issuer;
  }
  throw invalid(`it is longer than ${DEPTH_MAX}`);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function requireDates(certificate: X509Certificate, options: ChainOptions, what: string): void {
  const problem = dateProblem(certificate, options);
  if (problem !== undefined) {
    throw invalid(`the ${what} ${problem}`);
  }
}

function dateProblem(
  certificate: X509Certificate,
  { nowMs, skewMs = 0 }: ChainOptions,
): string | undefined {
  if (nowMs >= certificate.validToDate.getTime()) {
    return `expired at ${certificate.validToDate.toISOString()}`;
  }
  if (nowMs + skewMs < certificate.validFromDate.getTime()) {
    return `is not valid before ${certificate.validFromDate.toISOString()}`;
  }
  return undefined;
}

function invalid(why: string): IdentityError {
  return new IdentityError('IDENTITY_CHAIN_INVALID', `certificate chain refused: ${why}`, {
    side: 'upstream',
  });
}
