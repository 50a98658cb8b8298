/**
 * One certificate, from key to checked chain: make a key and a request, ask the CA, believe nothing of
 * the answer that does not check out.
 */
import type { Clock } from '@ambit/core';

import { verifyChain } from './chain.ts';
import { createCertificateRequest } from './csr.ts';
import { IdentityError } from './errors.ts';
import { parseCertificates } from './pem.ts';
import { formatSpiffeId } from './spiffe.ts';
import { spiffeIdOfCertificate } from './workload-leaf.ts';

/** How far ahead of ours the CA's clock may be. */
const SKEW_MS = 600_000;

/** Asks the CA. Resolves with PEM elements: leaf, intermediates, root bundle last. */
export type CertificateSigner = (request: {
  readonly identity: string;
  readonly csrPem: string;
  readonly ttlSeconds: number;
  readonly signal: AbortSignal;
}) => Promise<readonly string[]>;

export interface WorkloadCertificate {
  /** `spiffe://…` */
  readonly identity: string;
  readonly privateKeyPem: string;
  /** Leaf first, then intermediates. */
  readonly chainPem: string;
  readonly rootsPem: string;
  /** Hexadecimal. */
  readonly serialNumber: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Throws what the signer throws, IDENTITY_CERTIFICATE_MISMATCH, IDENTITY_CHAIN_INVALID, IDENTITY_PEM_INVALID. */
export async function fetchCertificate(options: {
  readonly identity: string;
  readonly ttlSeconds: number;
  readonly clock: Clock;
  readonly sign: CertificateSigner;
  readonly signal: AbortSignal;
}): Promise<WorkloadCertificate> {
  const { identity, ttlSeconds, clock, sign, signal } = options;
  const { privateKey, privateKeyPem, csrPem } = await createCertificateRequest(identity);
  const chain = await sign({ identity, csrPem, ttlSeconds, signal });
  const rootsPem = chain.at(-1);
  if (rootsPem === undefined || chain.length < 2) {
    throw mismatch('the CA answered without a root');
  }
  const [leaf, ...intermediates] = parseCertificates(chain.slice(0, -1).join('\n'));
  if (leaf === undefined) {
    throw mismatch('the CA answered without a certificate');
  }
  const got = formatSpiffeId(spiffeIdOfCertificate(leaf));
  if (got !== identity) {
    throw mismatch(`the CA answered for ${got} instead of ${identity}`);
  }
  if (!leaf.checkPrivateKey(privateKey)) {
    throw mismatch('the CA answered for another key');
  }
  verifyChain({
    leaf,
    intermediates,
    roots: parseCertificates(rootsPem),
    nowMs: clock.wallNow(),
    skewMs: SKEW_MS,
  });
  return {
    identity,
    privateKeyPem,
    chainPem: [leaf, ...intermediates].map((one) => one.toString()).join(''),
    rootsPem,
    serialNumber: leaf.serialNumber,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  };
}

function mismatch(why: string): IdentityError {
  return new IdentityError('IDENTITY_CERTIFICATE_MISMATCH', why, { side: 'control-plane' });
}
