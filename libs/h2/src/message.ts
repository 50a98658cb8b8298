/**
 * What a field section means: requests, responses, trailers (RFC 9113 §8.1 to §8.5).
 *
 * Rule: every check that §8 calls "malformed" is made here or while the block was decoded, before anybody sees
 * the message. A malformed message is an error of its stream (§8.1.1).
 */
import type { DecodedFields } from './hpack/decoder.ts';

/** Name, value, name, value. Names in lower case, characters are bytes (latin1), repeated ones repeated. */
export type Fields = readonly string[];

export interface RequestHead {
  readonly method: string;
  /** Undefined with CONNECT only. */
  readonly scheme: string | undefined;
  /** With query. Undefined with CONNECT only. */
  readonly path: string | undefined;
  /** `:authority`, or else the host field; empty when there is neither. */
  readonly authority: string;
  /** Without pseudo-header fields. */
  readonly fields: Fields;
  /** Names that are sent as never indexed, besides those of credentials, which always are. */
  readonly neverIndexed?: readonly string[] | undefined;
}

export interface ResponseHead {
  readonly status: number;
  readonly fields: Fields;
  readonly neverIndexed?: readonly string[] | undefined;
}

/** What is wrong with a message. */
export class Malformed {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** The length that content-length announces; undefined: none. */
export interface BodyLength {
  readonly contentLength: number | undefined;
}

/** §8.2.2: they speak of one connection of HTTP/1.1, and have split messages in two for who believed them. */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

interface Section extends BodyLength {
  readonly pseudo: ReadonlyMap<string, string>;
  readonly fields: string[];
  readonly host: string | undefined;
}

const COLON = 0x3a;
const NO_PSEUDO: ReadonlySet<string> = new Set();
const REQUEST_PSEUDO: ReadonlySet<string> = new Set([':method', ':scheme', ':authority', ':path']);
const RESPONSE_PSEUDO: ReadonlySet<string> = new Set([':status']);

/** §8.3: pseudo-header fields first, known ones only, each once. */
function readSection(
  { fields, isMalformed }: DecodedFields,
  allowed: ReadonlySet<string>,
): Section | Malformed {
  if (isMalformed) {
    return new Malformed('a name or a value with a forbidden character');
  }
  const pseudo = new Map<string, string>();
  let at = 0;
  for (; at < fields.length && fields[at]?.charCodeAt(0) === COLON; at += 2) {
    const name = fields[at] ?? '';
    if (!allowed.has(name)) {
      return new Malformed(`${name} does not belong here`);
    }
    if (pseudo.has(name)) {
      return new Malformed(`${name} twice`);
    }
    pseudo.set(name, fields[at + 1] ?? '');
  }
  return readRegular(fields.slice(at), pseudo);
}

function readRegular(fields: string[], pseudo: ReadonlyMap<string, string>): Section | Malformed {
  let host: string | undefined;
  let contentLength: number | undefined;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? '';
    const value = fields[at + 1] ?? '';
    if (name.charCodeAt(0) === COLON) {
      return new Malformed(`${name} after other fields`);
    }
    if (CONNECTION_SPECIFIC.has(name) || (name === 'te' && value.toLowerCase() !== 'trailers')) {
      return new Malformed(`${name} is of HTTP/1.1`);
    }
    if (name === 'content-length') {
      const length = parseLength(value);
      if (length === undefined || (contentLength ?? length) !== length) {
        return new Malformed('content-length is not one number');
      }
      contentLength = length;
    } else if (name === 'host') {
      if (host !== undefined) {
        return new Malformed('host twice');
      }
      host = value;
    }
  }
  return { pseudo, fields, host, contentLength };
}

/** RFC 9110 §8.6. Beyond 2^53 nobody can count. */
function parseLength(value: string): number | undefined {
  return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** §8.3.1, and §8.5 for CONNECT. */
export function readRequest(decoded: DecodedFields): (RequestHead & BodyLength) | Malformed {
  const section = readSection(decoded, REQUEST_PSEUDO);
  if (section instanceof Malformed) {
    return section;
  }
  const { pseudo, fields, host } = section;
  const method = pseudo.get(':method');
  if (method === undefined || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) {
    return new Malformed('no :method, or one that is no token');
  }
  const authority = pseudo.get(':authority');
  const scheme = pseudo.get(':scheme');
  const path = pseudo.get(':path');
  const problem =
    method === 'CONNECT'
      ? checkConnect({ authority, scheme, path })
      : checkTarget({ method, authority, scheme, path });
  if (problem !== undefined) {
    return problem;
  }
  if (authority !== undefined && host !== undefined && !isSame(authority, host)) {
    return new Malformed(':authority and host differ');
  }
  return {
    method,
    scheme,
    path,
    authority: authority ?? host ?? '',
    fields,
    neverIndexed: decoded.neverIndexed,
    // RFC 9110 §9.3.6: what follows CONNECT is no content.
    contentLength: method === 'CONNECT' ? undefined : section.contentLength,
  };
}

interface Target {
  readonly authority: string | undefined;
  readonly scheme: string | undefined;
  readonly path: string | undefined;
}

function checkConnect({ authority, scheme, path }: Target): Malformed | undefined {
  if (scheme !== undefined || path !== undefined) {
    return new Malformed('CONNECT with :scheme or :path');
  }
  return authority === undefined || authority === ''
    ? new Malformed('CONNECT without :authority')
    : undefined;
}

function checkTarget(target: Target & { readonly method: string }): Malformed | undefined {
  const { method, authority, scheme, path } = target;
  if (scheme === undefined || !/^[A-Za-z][A-Za-z0-9+\-.]*$/.test(scheme)) {
    return new Malformed('no :scheme, or one that is no scheme');
  }
  if (path === undefined || path === '') {
    return new Malformed('no :path, or an empty one');
  }
  const isHttp = scheme === 'http' || scheme === 'https';
  // §8.3.1: origin form, or the asterisk of OPTIONS. Blanks would be the end of it in HTTP/1.1.
  if (isHttp && !(path.startsWith('/') || (path === '*' && method === 'OPTIONS'))) {
    return new Malformed(':path does not begin with a slash');
  }
  if (/[\t #]/.test(path)) {
    return new Malformed('a blank or a fragment in :path');
  }
  if (authority !== undefined && /[\t @/?#\\]/.test(authority)) {
    return new Malformed('userinfo or a delimiter in :authority');
  }
  return undefined;
}

function isSame(authority: string, host: string): boolean {
  return authority === host || authority.toLowerCase() === host.toLowerCase();
}

/** §8.3.2. */
export function readResponse(decoded: DecodedFields): (ResponseHead & BodyLength) | Malformed {
  const section = readSection(decoded, RESPONSE_PSEUDO);
  if (section instanceof Malformed) {
    return section;
  }
  const status = section.pseudo.get(':status') ?? '';
  // §8.6: 101 does not exist here.
  if (!/^[1-9]\d\d$/.test(status) || status === '101') {
    return new Malformed('no :status, or one that is none');
  }
  const { fields, contentLength } = section;
  return { status: Number(status), fields, neverIndexed: decoded.neverIndexed, contentLength };
}

/** §8.1: fields without pseudo-header fields. */
export function readTrailers(decoded: DecodedFields): Fields | Malformed {
  const section = readSection(decoded, NO_PSEUDO);
  return section instanceof Malformed ? section : section.fields;
}

/** The fields of HEADERS for a request. */
export function requestFields(head: RequestHead): string[] {
  const { method, scheme, authority, path, fields } = head;
  const list = [':method', method];
  if (scheme !== undefined) {
    list.push(':scheme', scheme);
  }
  if (authority !== '') {
    list.push(':authority', authority);
  }
  if (path !== undefined) {
    list.push(':path', path);
  }
  return list.concat(fields);
}

export function responseFields(head: ResponseHead): string[] {
  return [':status', String(head.status)].concat(head.fields);
}
