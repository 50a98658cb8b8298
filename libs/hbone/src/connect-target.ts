/**
 * The destination a peer names in the `:authority` of an HBONE CONNECT request.
 *
 * It is untrusted input from another node: parse it here, once, and pass only the parsed value on.
 */
import { parseAuthority } from '@ambit/api';

import { HboneError } from './errors.ts';

export const HBONE_PORT = 15008;

export interface ConnectTarget {
  /** An address in canonical text (v4-mapped IPv6 is IPv4), or a hostname in lower case without a final dot. */
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

/** RFC 1035 §2.3.4. */
const HOST_CHARS_MAX = 253;
const LABEL_CHARS_MAX = 63;

/** Throws ConnectTargetError. */
export function parseConnectTarget(authority: string): ConnectTarget {
  const parsed = parseAuthority(authority);
  if (parsed?.port === undefined) {
    throw new ConnectTargetError(authority, 'want host:port or [ipv6]:port');
  }
  const { host, port, kind } = parsed;
  if (kind === 'name' && !isShortEnough(host)) {
    throw new ConnectTargetError(authority, 'the name is longer than DNS allows');
  }
  return { host, port, kind: kind === 'name' ? 'hostname' : kind };
}

function isShortEnough(name: string): boolean {
  return (
    name.length <= HOST_CHARS_MAX &&
    name.split('.').every((label) => label.length <= LABEL_CHARS_MAX)
  );
}
