/**
 * Whom a leaf certificate names, and whether it may be used so: what both ends of a tunnel ask of each other's.
 *
 * Rule: exactly one URI name, a SPIFFE id, and no name of another kind (X509-SVID §2; the reference's CA signs nothing else); a leaf,
 * not a CA; for signatures, and for the role in which it is shown (§4.3, §4.4). What fits not is refused, never skipped.
 */
import type { X509Certificate } from 'node:crypto';

import { IdentityError, quote } from './errors.ts';
import { type LeafFacts, readLeaf } from './leaf.ts';
import { OID } from './oids.ts';
import { parseSpiffeId, type SpiffeId } from './spiffe.ts';

export type LeafProblem =
  | 'malformed'
  | 'no_uri'
  | 'several_uris'
  | 'other_names'
  | 'not_spiffe'
  | 'ca'
  | 'usage';

export class LeafError extends IdentityError {
  readonly problem: LeafProblem;

  constructor(problem: LeafProblem, message: string, cause?: unknown) {
    super('IDENTITY_SPIFFE_INVALID', message, { side: 'downstream', cause });
    this.problem = problem;
  }
}

export type PeerRole = 'server' | 'client';

export interface WorkloadId extends SpiffeId {
  /** `spiffe://…` */
  readonly uri: string;
}

/** `role`: of whoever shows the certificate. Throws LeafError. */
export function workloadOfLeaf(der: Uint8Array, role: PeerRole): WorkloadId {
  const facts = factsOf(der);
  requireUsage(facts, [role]);
  return nameOf(facts);
}

/** The id of a certificate that serves in both roles, as the CA signs them. Throws LeafError. */
export function spiffeIdOfCertificate(certificate: X509Certificate): SpiffeId {
  const facts = factsOf(certificate.raw);
  requireUsage(facts, ['server', 'client']);
  const { trustDomain, namespace, serviceAccount } = nameOf(facts);
  return { trustDomain, namespace, serviceAccount };
}

function factsOf(der: Uint8Array): LeafFacts {
  try {
    return readLeaf(der);
  } catch (cause) {
    if (cause instanceof IdentityError) {
      throw new LeafError('malformed', cause.message, cause);
    }
    throw cause;
  }
}

const USE: Readonly<Record<PeerRole, string>> = { server: OID.serverAuth, client: OID.clientAuth };

function requireUsage(facts: LeafFacts, roles: readonly PeerRole[]): void {
  const { isCa, keyUsage, extendedUsage } = facts;
  if (isCa || keyUsage?.has('keyCertSign') || keyUsage?.has('cRLSign')) {
    throw new LeafError('ca', 'the certificate is one of a CA');
  }
  if (!keyUsage?.has('digitalSignature')) {
    throw new LeafError('usage', 'the certificate is not for signatures (key usage)');
  }
  for (const role of roles) {
    if (!extendedUsage?.has(USE[role])) {
      throw new LeafError('usage', `the certificate is not for a TLS ${role} (extended key usage)`);
    }
  }
}

function nameOf({ uris, otherNames }: LeafFacts): WorkloadId {
  const [uri] = uris;
  if (uris.length > 1) {
    const shown = uris.slice(0, 3).map(quote).join(', ');
    throw new LeafError('several_uris', `the certificate has ${uris.length} URI names: ${shown}`);
  }
  if (otherNames.length > 0) {
    throw new LeafError(
      'other_names',
      `the certificate has names of kind ${otherNames.join(', ')}`,
    );
  }
  if (uri === undefined) {
    throw new LeafError('no_uri', 'the certificate has no URI name');
  }
  try {
    return { uri, ...parseSpiffeId(uri) };
  } catch (cause) {
    throw new LeafError(
      'not_spiffe',
      cause instanceof Error ? cause.message : String(cause),
      cause,
    );
  }
}
