/**
 * cert-manager signs the names of a request as they are, so the request is checked before it is made, and the
 * certificate before anybody gets it: one identity, the one that was authorised, and nothing beside it.
 */
import type { X509Certificate } from 'node:crypto';

import {
  formatSpiffeId,
  IdentityError,
  type IssuedCertificate,
  parseCertificates,
  parseCsrPem,
  type SpiffeId,
  verifyChain,
} from '@ambit/identity';

/** Ours are far ahead of nobody's clock. */
const SKEW_MS = 600_000;

/** Throws IDENTITY_CSR_INVALID for a request that asks for more, or for something else, than the identity. */
export function requireOnly(identity: SpiffeId, csrPem: string): void {
  const { uris, otherNames, otherAttributes } = parseCsrPem(csrPem);
  const wanted = formatSpiffeId(identity);
  const problem =
    uris.length !== 1 || uris[0] !== wanted
      ? `its URI names are not exactly "${wanted}"`
      : otherNames > 0
        ? 'it has names that are no URIs'
        : otherAttributes.length > 0
          ? `it asks for more than names (${otherAttributes.join(', ').slice(0, 80)})`
          : undefined;
  if (problem !== undefined) {
    throw new IdentityError('IDENTITY_CSR_INVALID', `certificate request refused: ${problem}`, {
      side: 'downstream',
    });
  }
}

/** Throws IDENTITY_CA_INVALID, IDENTITY_PEM_INVALID or IDENTITY_CHAIN_INVALID. */
export function issuedCertificate(options: {
  readonly identity: SpiffeId;
  readonly csrPem: string;
  readonly chainPem: string;
  readonly rootBundlePem: string;
  readonly nowMs: number;
}): IssuedCertificate {
  const { identity, csrPem, chainPem, rootBundlePem, nowMs } = options;
  const [leaf, ...intermediates] = parseCertificates(chainPem);
  if (leaf === undefined) throw invalid('the issuer gave no certificate');
  const wanted = `URI:${formatSpiffeId(identity)}`;
  if (leaf.subjectAltName !== wanted) {
    throw invalid(`the issuer signed for "${(leaf.subjectAltName ?? '').slice(0, 80)}"`);
  }
  if (leaf.ca) throw invalid('the issuer signed a CA');
  const { publicKey } = parseCsrPem(csrPem);
  if (!leaf.publicKey.equals(publicKey)) throw invalid('the issuer signed another key');
  const roots = parseCertificates(rootBundlePem);
  const chain = verifyChain({ leaf, intermediates, roots, nowMs, skewMs: SKEW_MS });
  const isRoot = (one: X509Certificate): boolean =>
    roots.some((root) => root.fingerprint256 === one.fingerprint256);
  return {
    chain: [...chain.filter((one) => !isRoot(one)).map(String), rootBundlePem],
    serialNumber: leaf.serialNumber,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  };
}

function invalid(why: string): IdentityError {
  return new IdentityError('IDENTITY_CA_INVALID', why, { side: 'control-plane' });
}
