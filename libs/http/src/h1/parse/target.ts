/**
 * The request target and Host: one authority and one path, or a refusal (RFC 9112 §3.2, §3.3).
 *
 * Stricter than the RFC, which lets a proxy ignore a Host that disagrees with an absolute target: whoever reads the other
 * one would route elsewhere.
 */
import type { H1RequestHead, H1Version } from '../message.ts';
import type { Refuse } from '../scan/scanner.ts';
import type { ReadFields } from './fields.ts';

/** No userinfo, no list, no escapes: what names and addresses are made of. The engine decides which it knows. */
const AUTHORITY = /^(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;
const ABSOLUTE = /^https?:\/\/([^/?]*)(.*)$/i;
const AUTHORITY_CHARS_MAX = 512;

export type ReadTarget = Pick<H1RequestHead, 'form' | 'path' | 'authority'>;

/** Throws. */
export function readTarget(
  request: { readonly method: string; readonly target: string; readonly version: H1Version },
  fields: ReadFields,
  refuse: Refuse,
): ReadTarget {
  const { method, target, version } = request;
  const host = readHost(fields, version, refuse);
  if (method === 'CONNECT') {
    return connectTarget(target, host, refuse);
  }
  if (target.charCodeAt(0) === 0x2f) {
    return { form: 'origin', path: target, authority: host };
  }
  if (target === '*' && method === 'OPTIONS') {
    return { form: 'asterisk', path: '*', authority: host };
  }
  const absolute = ABSOLUTE.exec(target);
  if (absolute === null) {
    throw refuse('H1_TARGET_INVALID', target);
  }
  const [, authority = '', rest = ''] = absolute;
  if (!isAuthority(authority)) {
    throw refuse('H1_TARGET_INVALID', target);
  }
  agree(authority, host, refuse);
  // §3.2.4: what OPTIONS asks of a server as a whole.
  const empty = method === 'OPTIONS' && rest === '' ? '*' : '/';
  const path = rest.startsWith('/') ? rest : rest === '' ? empty : `/${rest}`;
  return { form: 'absolute', path, authority };
}

/** §3.2: exactly one in HTTP/1.1, and valid. HTTP/1.0 may have none. */
function readHost(fields: ReadFields, version: H1Version, refuse: Refuse): string {
  if (fields.hosts === 0) {
    if (version === '1.1') {
      throw refuse('H1_HOST_MISSING');
    }
    return '';
  }
  if (fields.hosts > 1) {
    throw refuse('H1_HOST_REPEATED');
  }
  if (!isAuthority(fields.host)) {
    throw refuse('H1_HOST_INVALID', fields.host);
  }
  return fields.host;
}

/** §3.2.3: host and port, both. */
function connectTarget(target: string, host: string, refuse: Refuse): ReadTarget {
  if (!isAuthority(target) || !/:[0-9]+$/.test(target)) {
    throw refuse('H1_TARGET_INVALID', target);
  }
  agree(target, host, refuse);
  return { form: 'authority', path: '', authority: target };
}

/** `host` is empty where HTTP/1.0 has none. */
function agree(authority: string, host: string, refuse: Refuse): void {
  if (host !== '' && authority !== host && authority.toLowerCase() !== host.toLowerCase()) {
    throw refuse('H1_HOST_MISMATCH', `${authority} and ${host}`);
  }
}

/** The one that was found good last: most requests name it again, and a proxy writes it again. */
let last = '';

export function isAuthority(text: string): boolean {
  if (text === last && text !== '') {
    return true;
  }
  const isGood = text.length <= AUTHORITY_CHARS_MAX && AUTHORITY.test(text);
  if (isGood) {
    last = text;
  }
  return isGood;
}
