/** Address text as the rest of Ambit compares it: v4-mapped IPv6 is IPv4. */

const MAPPED_PREFIX = '::ffff:';

/** `::ffff:10.0.0.1` → `10.0.0.1`; a zone (`%eth0`) is kept off; anything else as it is. */
export function canonicalAddress(address: string | undefined): string {
  if (address === undefined) {
    return '';
  }
  const zone = address.indexOf('%');
  const bare = zone === -1 ? address : address.slice(0, zone);
  return bare.startsWith(MAPPED_PREFIX) && bare.includes('.')
    ? bare.slice(MAPPED_PREFIX.length)
    : bare;
}

/** One end of a connection. Where it is kept for long, it becomes text only when somebody reads it. */
export interface Place {
  readonly address: string;
  readonly port: number;
}

export function formatPlace({ address, port }: Place): string {
  return formatAddress(address, port);
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function formatAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
