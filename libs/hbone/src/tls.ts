/**
 * TLS of tunnels: version 1.3 alone, AES-GCM, both sides show a certificate.
 *
 * Rule: whom we talk to is decided by the SPIFFE id in the certificate after OpenSSL accepted the
 * chain (`trust.ts`), never by a host name, and on every handshake anew.
 */
import type { SecureContextOptions } from 'node:tls';

import type { Clock } from '@ambit/core';
import type { WorkloadId } from '@ambit/identity';
import { HboneError } from './errors.ts';

/** Key, chain and roots of one identity. A new object for every rotation: contexts are kept per object. */
export interface TlsIdentity {
  /** `spiffe://…` */
  readonly identity: string;
  readonly privateKeyPem: string;
  /** Leaf first. */
  readonly chainPem: string;
  readonly rootsPem: string;
  readonly notAfterMs: number;
}

export type PeerIdentity = WorkloadId;

export const ALPN = 'h2';

/**
 * A client sends shares of the first two, so that a peer without ML-KEM needs no second round. Certificates and their signatures are
 * P-256's and RSA's.
 */
const GROUPS = '*X25519MLKEM768:*X25519:P-256';

export function tlsContextOptions(identity: TlsIdentity): SecureContextOptions {
  return {
    key: identity.privateKeyPem,
    cert: identity.chainPem,
    ca: identity.rootsPem,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
    ecdhCurve: GROUPS,
    sigalgs: 'ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512',
  };
}

/** An expired certificate is no certificate: fails before anything is sent. */
export function requireValid(identity: TlsIdentity, clock: Clock): TlsIdentity {
  if (clock.wallNow() >= identity.notAfterMs) {
    const at = new Date(identity.notAfterMs).toISOString();
    throw new HboneError(
      'HBONE_NO_CERTIFICATE',
      `the certificate of ${identity.identity} expired at ${at}`,
      { side: 'control-plane' },
    );
  }
  return identity;
}
