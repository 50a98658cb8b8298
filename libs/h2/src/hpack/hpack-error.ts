/** RFC 7541 broken by the peer: COMPRESSION_ERROR, which ends the connection (RFC 9113 §4.3). */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}
