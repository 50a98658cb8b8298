/** `struct sockaddr_in` and `sockaddr_in6` as bytes, both ways. Addresses come out canonical: a v4-mapped one as v4. */
import { isIPv4, isIPv6 } from 'node:net';
import { NetnsError } from './errors.ts';
import { AF_INET, AF_INET6, libc } from './syscalls.ts';

export const SOCKADDR_BYTES_MAX = 28;
const SOCKADDR_IN_BYTES = 16;
const V6_GROUPS = 8;
/** RFC 4291 §2.5.5.2: ten zero bytes and two of ones stand before the v4 address. */
const V4_MAPPED_PREFIX = '00000000000000000000ffff';

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** `kind: 4` for dotted quads, 6 otherwise. Throws `NETNS_ADDRESS_INVALID`; zones (`fe80::1%eth0`) are not taken. */
export function addressFamily(address: string): 4 | 6 {
  if (isIPv4(address)) {
    return 4;
  }
  if (isIPv6(address) && !address.includes('%')) {
    return 6;
  }
  throw new NetnsError('NETNS_ADDRESS_INVALID', `"${address.slice(0, 80)}" is not an IP address`);
}

/** `family: 6` turns a v4 address into its v4-mapped form, for a socket of that family. */
export function encodeSocketAddress(
  { address, port }: SocketAddress,
  family: 4 | 6 = addressFamily(address),
): Uint8Array {
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new NetnsError('NETNS_ADDRESS_INVALID', `port ${port} is outside 0..65535`);
  }
  const own = addressFamily(address);
  if (own === 6 && family === 4) {
    throw new NetnsError('NETNS_ADDRESS_INVALID', `"${address}" does not fit an IPv4 socket`);
  }
  const bytes = Buffer.alloc(family === 4 ? SOCKADDR_IN_BYTES : SOCKADDR_BYTES_MAX);
  bytes.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  if (family === 4) {
    writeV4(bytes, address);
    return bytes;
  }
  const text = own === 4 ? `::ffff:${address}` : address;
  if (libc().inetPton(AF_INET6, text, bytes.subarray(8)) !== 1) {
    throw new NetnsError('NETNS_ADDRESS_INVALID', `"${address}" is not an IP address`);
  }
  return bytes;
}

/** `address` is a dotted quad (`isIPv4`). */
function writeV4(bytes: Uint8Array, address: string): void {
  const parts = address.split('.');
  for (let index = 0; index < parts.length; index += 1) {
    bytes[4 + index] = Number(parts[index]);
  }
}

/** Undefined for any family but the two, and for bytes too short. */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < SOCKADDR_IN_BYTES) {
    return undefined;
  }
  const port = view.readUInt16BE(2);
  switch (view.readUInt16LE(0)) {
    case AF_INET:
      return { address: `${view[4]}.${view[5]}.${view[6]}.${view[7]}`, port };
    case AF_INET6:
      return view.length < SOCKADDR_BYTES_MAX
        ? undefined
        : { address: formatV6(view.subarray(8, 24)), port };
    default:
      return undefined;
  }
}

/** RFC 5952: lower case, the longest run of two or more zero groups (the first of equals) as `::`. */
function formatV6(bytes: Buffer): string {
  if (bytes.toString('hex', 0, 12) === V4_MAPPED_PREFIX) {
    return [...bytes.subarray(12)].join('.');
  }
  const groups = Array.from({ length: V6_GROUPS }, (_, i) => bytes.readUInt16BE(i * 2));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < V6_GROUPS; start++) {
    let end = start;
    while (end < V6_GROUPS && groups[end] === 0) {
      end++;
    }
    if (end - start > best.length) {
      best = { start, length: end - start };
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start === -1) {
    return hex.join(':');
  }
  const head = hex.slice(0, best.start).join(':');
  const tail = hex.slice(best.start + best.length).join(':');
  return `${head}::${tail}`;
}
