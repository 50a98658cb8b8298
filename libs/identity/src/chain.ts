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
    const root = roots.find((candidate) => isIssuedBy(current, candidate));
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

function requireDates(
  certificate: X509Certificate,
  { nowMs, skewMs = 0 }: ChainOptions,
  what: string,
): void {
  if (nowMs >= certificate.validToDate.getTime()) {
    throw invalid(`the ${what} expired at ${certificate.validToDate.toISOString()}`);
  }
  if (nowMs + skewMs < certificate.validFromDate.getTime()) {
    throw invalid(`the ${what} is not valid before ${certificate.validFromDate.toISOString()}`);
  }
}

function invalid(why: string): IdentityError {
  return new IdentityError('IDENTITY_CHAIN_INVALID', `certificate chain refused: ${why}`, {
    side: 'upstream',
  });
}
