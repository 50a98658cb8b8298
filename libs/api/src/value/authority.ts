/**
 * The authority of a CONNECT and of a request: `host:port`, with brackets around an IPv6 address.
 *
 * A parser of untrusted text: total, linear, and strict. Whatever it does not know is `undefined`.
 */
import { canonicalIp, isNumeric } from './ip.ts';

export interface ParsedAuthority {
  /** A canonical address without brackets, or a name in lower case without a final dot. */
  readonly host: string;
  /** 1..65535; absent when none was written. */
  readonly port?: number;
  readonly kind: 'ip' | 'name';
}

const AUTHORITY_CHARS_MAX = 512;
/** Before its letters are made small: the sign of Kelvin becomes a `k` then. */
const NAME = /^[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_-]+)*\.?$/i;
/** One spelling a port: servers read `080` as 80, and policy compares text. */
const PORT = /^[1-9]\d{0,4}$/;

/** `undefined`: not an authority. The empty string is none either. */
export function parseAuthority(text: string): ParsedAuthority | undefined {
  if (text.length === 0 || text.length > AUTHORITY_CHARS_MAX) return undefined;
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    const inner = bracketed[1] ?? '';
    const host = inner.includes(':') ? canonicalIp(inner) : undefined;
    return host === undefined ? undefined : withPort({ host, kind: 'ip' }, bracketed[2]);
  }
  const colon = text.indexOf(':');
  const written = colon < 0 ? text : text.slice(0, colon);
  const port = colon < 0 ? undefined : text.slice(colon + 1);
  const ip = canonicalIp(written);
  if (ip !== undefined) return withPort({ host: ip, kind: 'ip' }, port);
  // Another spelling of an address: policy compares text, and a server would take it for the address.
  if (!NAME.test(written) || isNumeric(written)) return undefined;
  const name = written.toLowerCase();
  return withPort({ host: name.endsWith('.') ? name.slice(0, -1) : name, kind: 'name' }, port);
}

/** `10.0.0.1:80`, `[fd00::1]:80`, `reviews.shop:80`. */
export function formatAuthority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function withPort(
  parsed: Omit<ParsedAuthority, 'port'>,
  text: string | undefined,
): ParsedAuthority | undefined {
  if (text === undefined) return parsed;
  if (!PORT.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? { ...parsed, port } : undefined;
}
