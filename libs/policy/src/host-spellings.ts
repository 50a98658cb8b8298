/**
 * What else a server may take a host for: with a port or without, a dot behind the name, an address in another spelling.
 *
 * The one rule: a port that is written is the caller's word. More spellings only ever refuse more: a DENY of a host, and an ALLOW that
 * forbids one, hold for any of them; an ALLOW of a host, and a DENY that spares one, do not hold by a port that nobody connected to.
 */
import { canonicalIp } from '@ambit/api';
import type { ConnectionAttributes, PathPattern } from './types.ts';

type Ports = Pick<ConnectionAttributes, 'askedPort' | 'destinationPort'>;

const PORT = /:(\d+)$/;
const DEFAULT_PORT = 80;
const NONE: readonly string[] = [];

interface HostParts {
  /** As written, without port. */
  readonly name: string;
  /** Without a final dot; an address in its one spelling. */
  readonly bare: string;
  /** With its colon, without leading zeros; empty where none was written. */
  readonly port: string;
}

/**
 * A port leads no server to another host, so whichever is written, the one that the connection goes to is served; and a dot behind a
 * name makes no other name (RFC 3986 §3.2.2). Who leaves the port out means the default one (RFC 9110 §4.2.1) or that of the connection.
 */
export function otherSpellings(
  host: string,
  { askedPort, destinationPort }: Ports,
): readonly string[] {
  const { name, bare, port } = partsOf(host);
  if (bare === '') {
    return NONE;
  }
  const served = [`${bare}:${destinationPort}`, `${bare}:${askedPort ?? destinationPort}`];
  return port === ''
    ? [bare, `${bare}:${DEFAULT_PORT}`, ...served]
    : [name, bare, `${bare}${port}`, ...served];
}

/** `host` with the port that the caller connected to, where it wrote another; undefined: it wrote none, or that one. */
export function withAskedPort(
  host: string,
  { askedPort, destinationPort }: Ports,
): string | undefined {
  const [written = ''] = PORT.exec(host) ?? [];
  const asked = `:${askedPort ?? destinationPort}`;
  return written === '' || written === asked
    ? undefined
    : `${host.slice(0, host.length - written.length)}${asked}`;
}

/** The port that a connection goes to may decide whether it fits. */
export function asksForPort(host: PathPattern): boolean {
  return (
    'value' in host &&
    (host.value.includes(':') || (host.kind === 'suffix' && /\d\.?$/.test(host.value)))
  );
}

/** With the one spelling of each host that is written out, or of its end, which `otherSpellings` has for what is sent. */
export function withOneSpelling(patterns: readonly PathPattern[]): readonly PathPattern[] {
  const more = patterns.flatMap((pattern): readonly PathPattern[] => {
    if (pattern.kind !== 'exact' && pattern.kind !== 'suffix') {
      return [];
    }
    const { name, bare, port } = partsOf(pattern.value);
    const value = `${bare}${port}`;
    // Of `*.` nothing would be left, which any host ends with.
    return value === pattern.value || (bare === '' && name !== '') ? [] : [{ ...pattern, value }];
  });
  return more.length === 0 ? patterns : [...patterns, ...more];
}

function partsOf(host: string): HostParts {
  const [written = '', digits = ''] = PORT.exec(host) ?? [];
  const name = host.slice(0, host.length - written.length);
  return { name, bare: bareOf(name), port: written === '' ? '' : `:${Number(digits)}` };
}

function bareOf(name: string): string {
  if (name.startsWith('[') && name.endsWith(']')) {
    const ip = canonicalIp(name.slice(1, -1));
    if (ip === undefined) {
      return name;
    }
    return ip.includes(':') ? `[${ip}]` : ip;
  }
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
