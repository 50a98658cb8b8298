/** Integers of RFC 7541 §5.1. */

/** Octets after the prefix that are read: enough for any length or index that a connection can have. */
export const INTEGER_OCTETS_MAX = 4;

/** Writes `value` after the bits `head` of the first byte; returns the position after it. */
export function encodeInteger(
  target: Uint8Array,
  from: number,
  head: number,
  prefixBits: number,
  value: number,
): number {
  const most = (1 << prefixBits) - 1;
  if (value < most) {
    target[from] = head | value;
    return from + 1;
  }
  target[from] = head | most;
  let at = from + 1;
  let rest = value - most;
  while (rest >= 0x80) {
    target[at] = (rest & 0x7f) | 0x80;
    at += 1;
    rest >>>= 7;
  }
  target[at] = rest;
  return at + 1;
}
