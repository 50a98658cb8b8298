/**
 * The destination a peer names in the `:authority` of an HBONE CONNECT request.
 *
 * It is untrusted input from another node: parse it here, once, and pass only the parsed value on.
 */
import { isIP, SocketAddress } from 'node:net';

import { canonicalAddress } from '@ambit/proxy';
import { HboneError } from './errors.ts';

export const HBONE_PORT = 15008;

export interface ConnectTarget {
  /** An address in canonical text (v4-mapped IPv6 is IPv4), or a hostname in lower case. */
  readonly host: string;
  readonly port: number;
  readonly kind: 'ip' | 'hostname';
}

export class ConnectTargetError extends HboneError {
  override readonly name = 'ConnectTargetError';

  constructor(authority: string, reason: string) {
    const shown = JSON.stringify(authority.slice(0, 80));
    super('HBONE_BAD_AUTHORITY', `bad :authority ${shown}: ${reason}`, { side: 'downstream' });
  }
}

const AUTHORITY =
  /^(?:\[(?<v6>[0-9a-fA-F:.]{2,45})\]|(?<host>[0-9A-Za-z._-]{1,253})):(?<port>[1-9]\d{0,4})$/;
/** Hosts that end in a number are addresses (WHATWG); what is not a dotted quad is refused, not guessed. */
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0[xX][0-9a-fA-F]*)$/;

/** Throws ConnectTargetError. */
export function parseConnectTarget(authority: string): ConnectTarget {
  const groups = AUTHORITY.exec(authority)?.groups;
  if (groups === undefined) {
    throw new ConnectTargetError(authority, 'want host:port or [ipv6]:port');
  }
  const port = Number(groups['port']);
  if (port > 65_535) {
    throw new ConnectTargetError(authority, 'port is outside 1..65535');
  }
  const v6 = groups['v6'];
  if (v6 !== undefined) {
    if (isIP(v6) !== 6) {
      throw new ConnectTargetError(authority, 'not an IPv6 address');
    }
    const { address } = new SocketAddress({ address: v6, family: 'ipv6' });
    return { host: canonicalAddress(address), port, kind: 'ip' };
  }
  const host = (groups['host'] ?? '').toLowerCase();
  if (isIP(host) === 4) {
    return { host, port, kind: 'ip' };
  }
  if (ENDS_IN_NUMBER.test(host)) {
    throw new ConnectTargetError(authority, 'not an IPv4 address');
  }
  if (!isHostname(host)) {
    throw new ConnectTargetError(authority, 'not a hostname');
  }
  return { host, port, kind: 'hostname' };
}

/** `10.0.0.1:80`, `[fd00::1]:80`, `name:80`. */
export function formatConnectTarget(target: Pick<ConnectTarget, 'host' | 'port'>): string {
  return target.host.includes(':')
    ? `[${target.host}]:${target.port}`
    : `${target.host}:${target.port}`;
}

function isHostname(host: string): boolean {
  return host.split('.').every((label) => label.length >= 1 && label.length <= 63);
}
