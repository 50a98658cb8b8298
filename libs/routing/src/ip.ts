/**
 * IP addresses as text and bytes: strict parsing, one canonical text (RFC 5952), CIDR containment.
 *
 * A v4-mapped IPv6 address is its IPv4 address everywhere. Zones and brackets are refused.
 */

export interface Subnet {
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  readonly length: number;
}

const IPV6_CHARS_MAX = 45;
const OCTET = /^(0|[1-9]\d{0,2})$/;
const GROUP = /^[0-9a-f]{1,4}$/;

/** 4 or 16 bytes; `undefined` when it is not an address. */
export function parseIp(text: string): Uint8Array | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Canonical text; `undefined` when it is not an address. */
export function canonicalIp(text: string): string | undefined {
  const bytes = parseIp(text);
  return bytes === undefined ? undefined : formatIp(bytes);
}

export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups: string[] = [];
  for (let index = 0; index < 16; index += 2) {
    groups.push((((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0)).toString(16));
  }
  const zeros = longestZeroRun(groups);
  if (zeros === undefined) return groups.join(':');
  const head = groups.slice(0, zeros.start).join(':');
  return `${head}::${groups.slice(zeros.start + zeros.count).join(':')}`;
}

/** `10.0.0.0/8`, `fd00::/64`, or an address alone. */
export function parseSubnet(text: string): Subnet | undefined {
  const slash = text.indexOf('/');
  const bytes = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (bytes === undefined) return undefined;
  if (slash < 0) return { bytes, length: bytes.length * 8 };
  const suffix = text.slice(slash + 1);
  const length = OCTET.test(suffix) ? Number(suffix) : -1;
  return length >= 0 && length <= bytes.length * 8 ? { bytes, length } : undefined;
}

/** Families never match across. */
export function subnetContains(subnet: Subnet, address: Uint8Array): boolean {
  if (subnet.bytes.length !== address.length) return false;
  const whole = subnet.length >> 3;
  for (let index = 0; index < whole; index += 1) {
    if (subnet.bytes[index] !== address[index]) return false;
  }
  const rest = subnet.length & 7;
  if (rest === 0) return true;
  const mask = 0xff << (8 - rest);
  return (((subnet.bytes[whole] ?? 0) ^ (address[whole] ?? 0)) & mask & 0xff) === 0;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    const value = OCTET.test(part) ? Number(part) : 256;
    if (value > 255) return undefined;
    bytes[index] = value;
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length > IPV6_CHARS_MAX) return undefined;
  const halves = text.toLowerCase().split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = parseGroups(halves[1] ?? '', true);
  if (head === undefined || tail === undefined) return undefined;
  const known = head.length + tail.length;
  if (halves.length === 1 ? known !== 16 : known > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  if (halves.length === 1) bytes.set(head, 0);
  return isV4Mapped(bytes) ? bytes.slice(12) : bytes;
}

/** Bytes of colon-separated groups; the last may be dotted IPv4 where `mayEndInV4`. */
function parseGroups(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === '') return [];
  const groups = text.split(':', 9);
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (mayEndInV4 && index === groups.length - 1 && group.includes('.')) {
      const v4 = parseIpv4(group);
      if (v4 === undefined) return undefined;
      bytes.push(...v4);
    } else {
      if (!GROUP.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

function isV4Mapped(bytes: Uint8Array): boolean {
  return (
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  );
}

function longestZeroRun(groups: readonly string[]): { start: number; count: number } | undefined {
  let best: { start: number; count: number } | undefined;
  let start = 0;
  for (let index = 0; index <= groups.length; index += 1) {
    if (groups[index] === '0') continue;
    const count = index - start;
    if (count > 1 && count > (best?.count ?? 0)) best = { start, count };
    start = index + 1;
  }
  return best;
}
