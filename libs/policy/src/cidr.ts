/**
 * Addresses as bytes, and containment in a block.
 *
 * An IPv4 address inside IPv6 (`::ffff:a.b.c.d`) is IPv4 everywhere, so that a rule cannot be missed
 * by spelling. Families never match each other.
 */
import ipaddr from 'ipaddr.js';
import type { Cidr } from './types.ts';

const V4_BITS = 32;
const V6_BITS = 128;
/** Prefix bits that make `::ffff:0:0` IPv4. */
const MAPPED_BITS = 96;

/** Bytes of an address in text: 4, or 16 for IPv6. Undefined when it is none. Zones are not accepted. */
export function parseIp(text: string): Uint8Array | undefined {
  if (text.includes('%')) {
    return undefined;
  }
  const strictV4 = ipaddr.IPv4.isValidFourPartDecimal(text);
  if (!strictV4 && !ipaddr.IPv6.isValid(text)) {
    return undefined;
  }
  return Uint8Array.from(ipaddr.process(text).toByteArray());
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. Host bits may be set, they are ignored. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const addressText = slash === -1 ? text : text.slice(0, slash);
  const address = parseIp(addressText);
  if (address === undefined) {
    return undefined;
  }
  const mapped = address.length === 4 && addressText.includes(':');
  const bits = addressText.includes(':') ? V6_BITS : V4_BITS;
  const lengthText = slash === -1 ? String(bits) : text.slice(slash + 1);
  const length = /^\d{1,3}$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  if (!(length <= bits)) {
    return undefined;
  }
  if (!mapped) {
    return { address, length };
  }
  return length < MAPPED_BITS ? undefined : { address, length: length - MAPPED_BITS };
}

/** True when the address lies in the block. */
export function cidrContains(block: Cidr, address: Uint8Array): boolean {
  if (block.address.length !== address.length) {
    return false;
  }
  const whole = block.length >> 3;
  for (let index = 0; index < whole; index += 1) {
    if (block.address[index] !== address[index]) {
      return false;
    }
  }
  const rest = block.length & 7;
  if (rest === 0) {
    return true;
  }
  const shift = 8 - rest;
  return (block.address[whole] ?? 0) >> shift === (address[whole] ?? 0) >> shift;
}
