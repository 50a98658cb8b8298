/**
 * Why the other end of a tunnel was not taken: a fixed, small set, one label each in metrics and logs.
 *
 * Rule: whatever is refused in or right after a handshake has exactly one of these.
 */
import type { LeafProblem } from '@ambit/identity';

export type PeerRefusal =
  | LeafProblem
  /** It showed none. */
  | 'no_certificate'
  /** It leads to no root of ours. */
  | 'chain'
  /** Or not valid yet. */
  | 'expired'
  | 'revoked'
  /** The list of its CA cannot be used, so nobody can tell whether it is revoked. */
  | 'revocation_unknown'
  | 'trust_domain'
  /** A server that is right in itself, and not whom we dialled for. */
  | 'unexpected'
  /** It does not offer h2. */
  | 'alpn'
  /** A session was resumed whose certificate is not known here any more. */
  | 'resumption'
  /** No common version or cipher, an alert, or bytes that are no TLS. */
  | 'protocol';

const ALL: Readonly<Record<PeerRefusal, true>> = {
  malformed: true,
  no_uri: true,
  several_uris: true,
  other_names: true,
  not_spiffe: true,
  ca: true,
  usage: true,
  no_certificate: true,
  chain: true,
  expired: true,
  revoked: true,
  revocation_unknown: true,
  trust_domain: true,
  unexpected: true,
  alpn: true,
  resumption: true,
  protocol: true,
};

export const PEER_REFUSALS = Object.keys(ALL) as readonly PeerRefusal[];

export type PeerRefusalCounts = Record<PeerRefusal, number>;

export function newPeerRefusalCounts(): PeerRefusalCounts {
  return Object.fromEntries(PEER_REFUSALS.map((one) => [one, 0])) as PeerRefusalCounts;
}

const OF_CODE: ReadonlyMap<string, PeerRefusal> = new Map([
  ['CERT_HAS_EXPIRED', 'expired'],
  ['CERT_NOT_YET_VALID', 'expired'],
  ['INVALID_PURPOSE', 'usage'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'no_certificate'],
]);

/** OpenSSL's verification results as Node spells them. */
const VERIFICATION =
  /^(?:CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH)/;

/** Of an error code of Node's TLS; undefined: it is about the connection, not about who is at its other end. */
export function refusalOfCode(code: string): PeerRefusal | undefined {
  const found = OF_CODE.get(code);
  if (found !== undefined) {
    return found;
  }
  if (VERIFICATION.test(code)) {
    return 'chain';
  }
  return code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') ? 'protocol' : undefined;
}
