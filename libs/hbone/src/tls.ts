/**
 * TLS of tunnels: version 1.3 alone, AES-GCM, both sides show a certificate, nothing is ever resumed.
 *
 * Rule: whom we talk to is decided by the SPIFFE ids in the certificate after OpenSSL accepted the
 * chain, never by a host name, and on every handshake anew.
 */
import { constants } from 'node:crypto';
import {
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls';

import type { Clock } from '@ambit/core';
import { parseSpiffeId, type SpiffeId, uriNamesOf } from '@ambit/identity';
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

export interface PeerIdentity extends SpiffeId {
  /** `spiffe://…` */
  readonly uri: string;
}

export const ALPN = 'h2';

export function tlsContextOptions(identity: TlsIdentity): SecureContextOptions {
  return {
    key: identity.privateKeyPem,
    cert: identity.chainPem,
    ca: identity.rootsPem,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
    // Without tickets there is nothing to resume: a resumed session would skip the check of the certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
    sigalgs: 'ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512',
  };
}

const contexts = new WeakMap<TlsIdentity, SecureContext>();

export function secureContextOf(identity: TlsIdentity): SecureContext {
  let context = contexts.get(identity);
  if (context === undefined) {
    context = createSecureContext(tlsContextOptions(identity));
    contexts.set(identity, context);
  }
  return context;
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

/** Every SPIFFE id of the peer's leaf, in its order. Names of other forms are left out. */
export function peerIdentities(socket: TLSSocket): PeerIdentity[] {
  const found: PeerIdentity[] = [];
  for (const uri of uriNamesOf(socket.getPeerX509Certificate()?.subjectAltName)) {
    try {
      found.push({ uri, ...parseSpiffeId(uri) });
    } catch {
      // A certificate may carry names of other systems; they identify nobody here.
    }
  }
  return found;
}

/** The client that dialled us: one of its ids must be of our trust domain; the first id names it. */
export function identifyClient(socket: TLSSocket, trustDomain: string): PeerIdentity {
  const identities = peerIdentities(socket);
  const [first] = identities;
  if (first === undefined) {
    throw new HboneError('HBONE_PEER_IDENTITY', 'the client certificate has no SPIFFE id', {
      side: 'downstream',
    });
  }
  if (!identities.some((identity) => identity.trustDomain === trustDomain)) {
    throw new HboneError(
      'HBONE_PEER_IDENTITY',
      `the client "${first.uri}" is of another trust domain than "${trustDomain}"`,
      { side: 'downstream' },
    );
  }
  return first;
}

/** The server we dialled: any of its ids must equal any expected one. No expectation: nobody fits. */
export function identifyServer(socket: TLSSocket, expected: readonly string[]): PeerIdentity {
  const identities = peerIdentities(socket);
  const match = identities.find((identity) => expected.includes(identity.uri));
  if (match === undefined) {
    const shown = identities.map((identity) => identity.uri).join(', ') || 'nobody';
    throw new HboneError(
      'HBONE_PEER_IDENTITY',
      `the server is "${shown.slice(0, 160)}", expected ${expected.slice(0, 4).join(' or ') || 'nobody'}`,
      { side: 'upstream' },
    );
  }
  return match;
}
