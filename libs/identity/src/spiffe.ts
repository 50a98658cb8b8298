/**
 * SPIFFE ids of workloads: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, exactly so.
 *
 * One id has one spelling: no port, user, query, fragment, escape, empty or dot segment is accepted, so
 * that comparing text is comparing identities (SPIFFE-ID §2).
 */
import { IdentityError, quote } from './errors.ts';

export interface SpiffeId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** SPIFFE-ID §2.3. */
const SPIFFE_ID_LENGTH_MAX = 2048;
const TRUST_DOMAIN_LENGTH_MAX = 255;
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** Throws IDENTITY_SPIFFE_INVALID. */
export function parseSpiffeId(text: string): SpiffeId {
  const refuse = (why: string): IdentityError =>
    new IdentityError('IDENTITY_SPIFFE_INVALID', `${quote(text)} is not a SPIFFE id: ${why}`, {
      side: 'downstream',
    });
  if (text.length > SPIFFE_ID_LENGTH_MAX) {
    throw refuse(`longer than ${SPIFFE_ID_LENGTH_MAX} characters`);
  }
  if (!text.startsWith('spiffe://')) {
    throw refuse('it does not start with spiffe://');
  }
  const parts = text.slice('spiffe://'.length).split('/');
  const [trustDomain = '', ns, namespace = '', sa, serviceAccount = ''] = parts;
  if (parts.length !== 5 || ns !== 'ns' || sa !== 'sa') {
    throw refuse('wanted spiffe://DOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT');
  }
  if (!isTrustDomain(trustDomain)) {
    throw refuse('the trust domain may have lower-case letters, digits, ".", "-" and "_"');
  }
  if (!isSegment(namespace) || !isSegment(serviceAccount)) {
    throw refuse('namespace and service account may have letters, digits, ".", "-" and "_"');
  }
  return { trustDomain, namespace, serviceAccount };
}

/** Refuses parts that would not parse back to the same id. */
export function formatSpiffeId(id: SpiffeId): string {
  const text = `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
  parseSpiffeId(text);
  return text;
}

function isTrustDomain(text: string): boolean {
  return text.length <= TRUST_DOMAIN_LENGTH_MAX && TRUST_DOMAIN.test(text);
}

function isSegment(text: string): boolean {
  return SEGMENT.test(text) && text !== '.' && text !== '..';
}
