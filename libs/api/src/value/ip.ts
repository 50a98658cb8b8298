/**
 * IP addresses and CIDRs, canonical, so that equal addresses are equal strings and bytes.
 *
 * An IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) is the IPv4 address everywhere: a policy on
 * 10.0.0.0/8 must hold for a peer that a dual-stack socket reports in the long form.
 */
import ipaddr from 'ipaddr.js';

/** 4 or 16 bytes, network order. */
export type IpBytes = Uint8Array;

export interface Cidr {
  readonly address: IpBytes;
  readonly length: number;
}

const ZERO = 0x30;
const MAPPED_PREFIX_BITS = 96;

/** The bytes of an address, or undefined. No zone, no port, no brackets, no octal or short IPv4 forms. */
export function parseIp(text: string): IpBytes | undefined {
  if (text.length > 45 || text.includes('%')) return undefined;
  if (!text.includes(':')) return parseIpv4(text);
  if (!ipaddr.isValid(text)) return undefined;
  // An IPv4 address in the last place is read as one alone; the library takes zeros before its numbers.
  const last = text.slice(text.lastIndexOf(':') + 1);
  if (last.includes('.') && parseIpv4(last) === undefined) return undefined;
  return Uint8Array.from(ipaddr.process(text).toByteArray());
}

/** Four numbers without leading zeros; asked for each connection, so by hand. */
function parseIpv4(text: string): IpBytes | undefined {
  const bytes = new Uint8Array(4);
  let at = 0;
  for (let part = 0; part < 4; part += 1) {
    const start = at;
    let value = 0;
    for (; at < text.length && at - start < 3; at += 1) {
      const digit = text.charCodeAt(at) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    const digits = at - start;
    if (digits === 0 || value > 255 || (digits > 1 && text.charCodeAt(start) === ZERO)) {
      return undefined;
    }
    bytes[part] = value;
    if (part < 3 && text[at++] !== '.') return undefined;
  }
  return at === text.length ? bytes : undefined;
}

const NUMBER = String.raw`(?:\d+|0[xX][\da-fA-F]*)`;
const NUMERIC = new RegExp(String.raw`^${NUMBER}(?:\.${NUMBER}){0,3}\.?$`);

/**
 * True for one to four numbers, decimal, octal or hexadecimal: clients and servers take that for an IPv4 address however it is written, as
 * `10.0.0.01`, `0x0a.1`, `167772161` and `10.0.0.1.` are (inet_aton). A name that only ends in a number, as `reviews.2024`, is none.
 */
export function isNumeric(name: string): boolean {
  return NUMERIC.test(name);
}

/** Text of an address: RFC 5952 for IPv6, dotted for IPv4. */
export function formatIp(bytes: IpBytes): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  const address = ipaddr.fromByteArray([...bytes]);
  return address.kind() === 'ipv6'
    ? (address as ipaddr.IPv6).toRFC5952String()
    : address.toString();
}

/** The one spelling of an address, or undefined if it is none. */
export function canonicalIp(text: string): string | undefined {
  const bytes = parseIp(text);
  return bytes === undefined ? undefined : formatIp(bytes);
}

/** A CIDR or a single address; host bits are cleared. Undefined if it is neither. */
export function parseCidr(text: string): Cidr | undefined {
  const [host = '', prefix, ...rest] = text.split('/');
  const bytes = parseIp(host);
  if (bytes === undefined || rest.length > 0) return undefined;
  const bits = bytes.length * 8;
  if (prefix === undefined) return { address: bytes, length: bits };
  if (!/^(?:0|[1-9]\d{0,2})$/.test(prefix)) return undefined;
  let length = Number(prefix);
  if (bits === 32 && host.includes(':')) {
    length -= MAPPED_PREFIX_BITS;
    if (length < 0) return undefined;
  }
  if (length > bits) return undefined;
  return { address: maskBytes(bytes, length), length };
}

/** `10.0.0.0/8`; a full-length prefix is written out too. */
export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.address)}/${cidr.length}`;
}

/** True if `address` lies in `cidr`; never across families. */
export function cidrContains(cidr: Cidr, address: IpBytes): boolean {
  if (cidr.address.length !== address.length) return false;
  const whole = cidr.length >> 3;
  for (let i = 0; i < whole; i += 1) if (cidr.address[i] !== address[i]) return false;
  const rest = cidr.length & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((cidr.address[whole] ?? 0) & mask) === ((address[whole] ?? 0) & mask);
}

function maskBytes(bytes: IpBytes, length: number): IpBytes {
  return bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, length - index * 8));
    return byte & ((0xff << (8 - kept)) & 0xff);
  });
}
