/** What is asked of lists of revocations, whoever keeps them. */
import type { X509Certificate } from 'node:crypto';

/** One certificate of a verified chain, and the one that signed it. */
export interface ChainLink {
  /** Hex, lower case. */
  readonly serial: string;
  readonly issuer: X509Certificate;
}

export interface RevocationProblem {
  readonly kind: 'revoked' | 'revocation_unknown';
  readonly reason: string;
}

/** Another object for every change of the lists. */
export interface Revocations {
  /** Of the first link that has one; undefined: no list names any of them. */
  problemOf(links: readonly ChainLink[], nowMs: number): RevocationProblem | undefined;
}
