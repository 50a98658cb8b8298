/** What a message tells this hop alone: Connection, Upgrade, TE (RFC 9110 §7.6.1, §7.8, §10.1.4). */
import type { H1Version } from '../message.ts';
import type { Refuse } from '../scan/scanner.ts';
import type { ReadFields } from './fields.ts';
import { listElements } from './list.ts';

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Each is compared with each field when the message is sent on. */
const OPTIONS_MAX = 32;
const NONE: readonly string[] = Object.freeze([]);
const KEEP_ALIVE: readonly string[] = Object.freeze(['keep-alive']);
const CLOSE: readonly string[] = Object.freeze(['close']);

/**
 * Fields for all recipients, which no hop may take out (RFC 9110 §7.6.1). A client that names one asks us to let policy
 * judge a message that the server will not get.
 */
const NOT_OF_A_HOP: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'set-cookie',
  'transfer-encoding',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);

/** The options of Connection, lower case. Empty elements are allowed (RFC 9110 §5.6.1). Throws. */
export function connectionOptions(value: string | undefined, refuse: Refuse): readonly string[] {
  switch (value) {
    case undefined:
      return NONE;
    case 'keep-alive':
      return KEEP_ALIVE;
    case 'close':
      return CLOSE;
    default:
  }
  const options: string[] = [];
  for (const option of listElements(value.toLowerCase())) {
    if (option === '') {
      continue;
    }
    if (options.length === OPTIONS_MAX || !TOKEN.test(option) || NOT_OF_A_HOP.has(option)) {
      throw refuse('H1_CONNECTION_INVALID', option);
    }
    options.push(option);
  }
  return options;
}

/** Whether the peer will take, or send, another message (RFC 9112 §9.3). */
export function keepsAlive(version: H1Version, options: readonly string[]): boolean {
  if (options.length === 0) {
    return version === '1.1';
  }
  return !options.includes('close') && (version === '1.1' || options.includes('keep-alive'));
}

export function takesTrailers(te: string | undefined): boolean {
  return te !== undefined && listElements(te.toLowerCase()).includes('trailers');
}

/** RFC 9110 §7.8: only with the option in Connection, and not in HTTP/1.0. */
export function upgradeOf(
  fields: ReadFields,
  version: H1Version,
  options: readonly string[],
): string | undefined {
  return fields.upgrade !== undefined &&
    fields.upgrade !== '' &&
    version === '1.1' &&
    options.includes('upgrade')
    ? fields.upgrade.toLowerCase()
    : undefined;
}
