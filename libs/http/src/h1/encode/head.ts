/**
 * Heads as text, each character one byte: written from what was parsed, never copied through.
 *
 * Rule: what frames the message and what speaks of the connection is written from the model alone; fields of these names in
 * the list are left out. So no list of fields, whoever made it, can end a head early, add a line to it or frame it twice.
 */
import { H1Error } from '../errors.ts';
import type { BodyFraming, FieldLines } from '../message.ts';
import { COMMON_NAMES, isFieldName } from '../parse/field-names.ts';
import { isMethod } from '../parse/method.ts';
import { isAuthority } from '../parse/target.ts';
import { reasonOf } from './reasons.ts';

export interface RequestToWrite {
  readonly method: string;
  /** Path and query; `*`; host and port for CONNECT. */
  readonly target: string;
  readonly authority: string;
  readonly fields: FieldLines;
  /** Not until-close. */
  readonly body: BodyFraming;
  /** The protocol that is asked for. */
  readonly upgrade?: string | undefined;
  readonly expectsContinue?: boolean;
  /** No further request is sent on this connection. */
  readonly close?: boolean;
}

export interface ResponseToWrite {
  readonly status: number;
  readonly fields: FieldLines;
  readonly body: BodyFraming;
  /** Said where there is no body: what a GET would have got (HEAD, 304). */
  readonly contentLength?: number | undefined;
  /** With 101: the protocol that is switched to. */
  readonly upgrade?: string | undefined;
  /** No further response is sent on this connection. */
  readonly close?: boolean;
}

/** Written from the model, whatever a list says. */
const OWNED: readonly string[] = [
  'connection',
  'content-length',
  'content_length',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'transfer_encoding',
  'upgrade',
];

/** One look-up for a field. `common`: its name is one. Names that are not here are looked at. */
type FieldKind = 'common' | 'owned' | 'te' | 'host' | 'expect';
const KINDS: ReadonlyMap<string, FieldKind> = new Map<string, FieldKind>([
  ...[...COMMON_NAMES].map((name) => [name, 'common'] as const),
  ...OWNED.map((name) => [name, 'owned'] as const),
  ['te', 'te'],
  ['host', 'host'],
  ['expect', 'expect'],
]);

const TARGET = /^[!"$-~]+$/;
const NOT_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** The head with its empty line. Throws H1_UNWRITABLE. */
export function encodeRequestHead(request: RequestToWrite): string {
  const { method, target, authority, body, fields } = request;
  require(isMethod(method), 'method', method);
  require(TARGET.test(target), 'target', target);
  require(isAuthority(authority), 'host', authority);
  require(body.kind !== 'until-close', 'body of a request', body.kind);
  // RFC 9110 §7.2: Host first.
  let head = `${method} ${target} HTTP/1.1\r\nhost: ${authority}\r\n`;
  let options = request.close === true ? 'close' : '';
  let hasTe = false;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? '';
    const value = fields[index + 1] ?? '';
    const kind = KINDS.get(name);
    if (kind === 'common') {
      head += commonLine(name, value);
    } else if (kind === undefined) {
      head += line(name, value);
    } else if (kind === 'te' && value === 'trailers' && !hasTe) {
      // RFC 9110 §10.1.4: TE goes with an option of its name.
      hasTe = true;
      options = addOption(options, 'te');
      head += 'te: trailers\r\n';
    }
  }
  if (request.expectsContinue === true) {
    head += 'expect: 100-continue\r\n';
  }
  if (request.upgrade !== undefined) {
    options = addOption(options, 'upgrade');
    head += line('upgrade', request.upgrade);
  }
  return `${head}${connectionLine(options)}${framingLine(body)}\r\n`;
}

/** The head with its empty line; also of an interim response. Throws H1_UNWRITABLE. */
export function encodeResponseHead(response: ResponseToWrite): string {
  const { status, body, fields, contentLength } = response;
  if (!(Number.isInteger(status) && status >= 100 && status <= 599)) {
    throw unwritable('status', String(status));
  }
  const isBodiless = status < 200 || status === 204 || status === 304;
  require(!isBodiless || body.kind === 'none', 'body of a status without one', body.kind);
  let head = `HTTP/1.1 ${status} ${reasonOf(status)}\r\n`;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? '';
    const kind = KINDS.get(name);
    if (kind !== 'owned' && kind !== 'te') {
      const value = fields[index + 1] ?? '';
      head += kind === undefined ? line(name, value) : commonLine(name, value);
    }
  }
  let options = response.close === true || body.kind === 'until-close' ? 'close' : '';
  if (response.upgrade !== undefined) {
    require(status === 101 || status === 426, 'upgrade with status', String(status));
    options = addOption(options, 'upgrade');
    head += line('upgrade', response.upgrade);
  }
  head += connectionLine(options);
  // RFC 9110 §8.6: none in a 1xx or 204.
  if (body.kind === 'none' && contentLength !== undefined && status >= 200 && status !== 204) {
    return `${head}${framingLine({ kind: 'length', bytes: contentLength })}\r\n`;
  }
  return `${head}${framingLine(body)}\r\n`;
}

/** Lines of a trailer section, without the empty one. Throws H1_UNWRITABLE. */
export function encodeFieldLines(fields: FieldLines): string {
  let lines = '';
  for (let index = 0; index < fields.length; index += 2) {
    lines += line(fields[index] ?? '', fields[index + 1] ?? '');
  }
  return lines;
}

function line(name: string, value: string): string {
  if (!isFieldName(name)) {
    throw unwritable('field name', name);
  }
  return commonLine(name, value);
}

/** `name` is known to be one. */
function commonLine(name: string, value: string): string {
  if (NOT_VALUE.test(value)) {
    throw unwritable(`value of ${name}`, value);
  }
  return `${name}: ${value}\r\n`;
}

function framingLine(body: BodyFraming): string {
  switch (body.kind) {
    case 'length':
      if (!Number.isSafeInteger(body.bytes) || body.bytes < 0) {
        throw unwritable('length', String(body.bytes));
      }
      return `content-length: ${body.bytes}\r\n`;
    case 'chunked':
      return 'transfer-encoding: chunked\r\n';
    case 'none':
    case 'until-close':
      return '';
  }
}

function addOption(options: string, option: string): string {
  return options === '' ? option : `${options}, ${option}`;
}

function connectionLine(options: string): string {
  return options === '' ? '' : `connection: ${options}\r\n`;
}

function require(isWritable: boolean, what: string, found: string): void {
  if (!isWritable) {
    throw unwritable(what, found);
  }
}

function unwritable(what: string, found: string): H1Error {
  return new H1Error('H1_UNWRITABLE', 'local', `${what} ${found}`);
}
