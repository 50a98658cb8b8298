/** What is asked of lists of revocations, whoever keeps them. */
import type { X509Certificate } from 'node:crypto';

/** One certificate of a verified chain, and the one that signed it. */
export interface ChainLink {
  /** Hex without leading zeros, lower case. */
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

/** Of a verified chain, leaf first, root last. The root itself is trusted by name and has no link. */
export function chainLinks(chain: readonly X509Certificate[]): readonly ChainLink[] {
  const links: ChainLink[] = [];
  for (const [at, certificate] of chain.entries()) {
    const issuer = chain[at + 1];
    if (issuer !== undefined) {
      links.push({ serial: serialOf(certificate), issuer });
    }
  }
  return links;
}

/** As lists write it: Node pads to whole bytes. */
function serialOf({ serialNumber }: X509Certificate): string {
  return serialNumber.toLowerCase().replace(/^0+(?=.)/, '');
}
