/**
 * What one certificate of ours, its bundle and the lists of revocations say about peers, and whom they said it of.
 *
 * Rule: one object for each combination of the three. With another certificate, bundle or list there is another object, which knows nobody:
 * tickets and remembered peers of the one before are not asked any more.
 */
import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';

import {
  type ChainLink,
  chainLinks,
  IdentityError,
  LeafError,
  type PeerRole,
  parseCertificates,
  parseSpiffeId,
  type RevocationProblem,
  type Revocations,
  verifyChain,
  workloadOfLeaf,
} from '@ambit/identity';
import { refusedPeer } from './errors.ts';
import { TicketCache } from './tickets.ts';
import { type PeerIdentity, type TlsIdentity, tlsContextOptions } from './tls.ts';

/** A peer whose certificate passed. Shared by all sessions that it has with us. */
export interface KnownPeer {
  readonly identity: PeerIdentity;
  /** When the first certificate of its chain ends. */
  readonly notAfterMs: number;
  /** From the leaf up to the root, without it. */
  readonly links: readonly ChainLink[];
  /** What it showed, leaf first, in DER: for roots that come later. */
  readonly sent: readonly Uint8Array[];
}

/** Nodes times service accounts that one identity talks to within its life; beyond, the oldest is looked at anew. */
const PEERS_MAX = 4_096;
/** Certificates that a peer may send beside its own. */
const SENT_MAX = 8;
/** Of those, what is kept of a peer. One that sends more and is asked about again comes back with a full handshake. */
const SENT_BYTES_MAX = 16_384;

const latest = new WeakMap<TlsIdentity, Trust>();

/** The current one of `identity`. */
export function trustOf(identity: TlsIdentity, revocations?: Revocations): Trust {
  const known = latest.get(identity);
  if (known !== undefined && known.revocations === revocations) {
    return known;
  }
  const trust = new Trust(identity, revocations);
  latest.set(identity, trust);
  return trust;
}

export class Trust {
  readonly identity: TlsIdentity;
  readonly revocations: Revocations | undefined;
  readonly trustDomain: string;
  /** Of servers, for this end as client. */
  readonly tickets = new TicketCache();
  readonly #peers = new Map<string, KnownPeer>();
  /** Of those that other trust let in. */
  readonly #vouched = new WeakMap<KnownPeer, boolean>();
  #roots: readonly X509Certificate[] | undefined;
  #clientContext: SecureContext | undefined;

  constructor(identity: TlsIdentity, revocations: Revocations | undefined) {
    this.identity = identity;
    this.revocations = revocations;
    this.trustDomain = parseSpiffeId(identity.identity).trustDomain;
  }

  get clientContext(): SecureContext {
    this.#clientContext ??= createSecureContext(tlsContextOptions(this.identity));
    return this.#clientContext;
  }

  /**
   * Whom the certificate of a finished handshake names, in the role of that end. OpenSSL has accepted it; here is what OpenSSL does not
   * ask. A resumed session has the leaf alone (and only at the server), so nobody is taken by it who is not known from a full
   * handshake. Throws HBONE_PEER_IDENTITY with the reason.
   */
  identify(socket: TLSSocket, role: PeerRole, nowMs: number): KnownPeer {
    const leaf = socket.getPeerX509Certificate();
    if (leaf === undefined) {
      throw refusedPeer(role, 'no_certificate', 'it shows no certificate');
    }
    const key = `${role} ${leaf.fingerprint256}`;
    const known = this.#peers.get(key);
    if (known !== undefined && nowMs < known.notAfterMs) {
      return this.check(known, role, nowMs);
    }
    if (socket.isSessionReused()) {
      throw refusedPeer(
        role,
        'resumption',
        'its resumed session is of a certificate not known now',
      );
    }
    const peer = this.#read(leaf, role, nowMs);
    this.#remember(key, peer);
    return this.check(peer, role, nowMs);
  }

  /** What may change while a certificate stays the same: the time, and what is revoked. Throws HBONE_PEER_IDENTITY. */
  check(peer: KnownPeer, role: PeerRole, nowMs: number): KnownPeer {
    const { uri } = peer.identity;
    if (nowMs >= peer.notAfterMs) {
      const at = new Date(peer.notAfterMs).toISOString();
      throw refusedPeer(role, 'expired', `the certificate of ${uri} expired at ${at}`);
    }
    const problem = this.revocations?.problemOf(peer.links, nowMs);
    if (problem !== undefined) {
      throw refusedPeer(role, problem.kind, `the certificate of ${uri}: ${problem.reason}`);
    }
    return peer;
  }

  /**
   * Whether these roots vouch for a peer that was let in under others. Not whether its time is over, nor what is revoked; what cannot be
   * read vouches for nobody.
   */
  vouchesFor(peer: KnownPeer, nowMs: number): boolean {
    let isVouched = this.#vouched.get(peer);
    if (isVouched === undefined) {
      isVouched = peer.identity.trustDomain === this.trustDomain && this.#leadsUp(peer, nowMs);
      this.#vouched.set(peer, isVouched);
    }
    return isVouched;
  }

  #leadsUp({ sent, notAfterMs }: KnownPeer, nowMs: number): boolean {
    try {
      const [leaf, ...intermediates] = sent.map((der) => new X509Certificate(der));
      if (leaf === undefined) {
        return false;
      }
      this.#roots ??= parseCertificates(this.identity.rootsPem);
      verifyChain({
        leaf,
        intermediates,
        roots: this.#roots,
        nowMs: Math.min(nowMs, notAfterMs - 1),
        skewMs: Number.POSITIVE_INFINITY,
      });
      return true;
    } catch {
      return false;
    }
  }

  #read(leaf: X509Certificate, role: PeerRole, nowMs: number): KnownPeer {
    const identity = readIdentity(leaf, role);
    if (identity.trustDomain !== this.trustDomain) {
      const why = `"${identity.uri}" is of another trust domain than "${this.trustDomain}"`;
      throw refusedPeer(role, 'trust_domain', why);
    }
    const sent = sentWith(leaf);
    const chain = this.#chainOf(leaf, { sent, role, nowMs });
    return {
      identity,
      notAfterMs: Math.min(...chain.map((one) => one.validToDate.getTime())),
      links: chainLinks(chain),
      sent: kept([leaf, ...sent]),
    };
  }

  /** OpenSSL does not say which chain it found, and a bundle may hold several ways up. */
  #chainOf(
    leaf: X509Certificate,
    options: { readonly sent: X509Certificate[]; readonly role: PeerRole; readonly nowMs: number },
  ): readonly X509Certificate[] {
    const { sent, role, nowMs } = options;
    this.#roots ??= parseCertificates(this.identity.rootsPem);
    try {
      // Not valid yet is OpenSSL's to say, by the clock of the machine.
      return verifyChain({
        leaf,
        intermediates: sent,
        roots: this.#roots,
        nowMs,
        skewMs: Number.POSITIVE_INFINITY,
      });
    } catch (error) {
      if (error instanceof IdentityError) {
        throw refusedPeer(role, 'chain', error.message, error);
      }
      throw error;
    }
  }

  #remember(key: string, peer: KnownPeer): void {
    this.#peers.delete(key);
    this.#peers.set(key, peer);
    for (const oldest of this.#peers.keys()) {
      if (this.#peers.size <= PEERS_MAX) {
        break;
      }
      this.#peers.delete(oldest);
    }
  }
}

/** Why an open session with `peer` is over now that the lists are these. One that cannot be judged is. */
export function endOf(
  peer: KnownPeer,
  revocations: Revocations | undefined,
  nowMs: number,
): RevocationProblem | undefined {
  try {
    const problem = revocations?.problemOf(peer.links, nowMs);
    // A list that ran out says nothing new of those who were let in by it.
    return problem?.kind === 'revoked' ? problem : undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { kind: 'revocation_unknown', reason: `it cannot be judged: ${why.slice(0, 200)}` };
  }
}

function readIdentity(leaf: X509Certificate, role: PeerRole): PeerIdentity {
  try {
    return workloadOfLeaf(leaf.raw, role);
  } catch (error) {
    if (error instanceof LeafError) {
      throw refusedPeer(role, error.problem, error.message, error);
    }
    throw error;
  }
}

function sentWith(leaf: X509Certificate): X509Certificate[] {
  const sent: X509Certificate[] = [];
  let next = leaf.issuerCertificate;
  while (next !== undefined && sent.length < SENT_MAX) {
    sent.push(next);
    next = next.issuerCertificate;
  }
  return sent;
}

function kept(certificates: readonly X509Certificate[]): Uint8Array[] {
  let left = SENT_BYTES_MAX;
  return certificates
    .map(({ raw }) => raw)
    .filter((der) => {
      left -= der.length;
      return left >= 0;
    });
}
