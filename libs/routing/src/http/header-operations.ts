/**
 * Header operations and the `%VAR%` values in them.
 *
 * Within one level, removals run first, then `set`, then `add`, in the order written. The
 * destination's operations run before the rule's, so that the rule wins a `set`.
 */
import type { HeaderOperations, HttpHeaderFilter } from '@ambit/api';
import { octetsOf } from '@ambit/policy';

export type HeaderOperation =
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'set' | 'add'; readonly name: string; readonly value: HeaderValue };

/** Text and variables in turn. */
export type HeaderValue = readonly (
  | string
  | { readonly variable: string; readonly argument?: string }
)[];

/** The headers that operations change. Names are lower case. */
export interface MutableHeaders {
  set(name: string, value: string): void;
  add(name: string, value: string): void;
  remove(name: string): void;
}

/** `undefined`: not known here; it is written as `-`. */
export type VariableLookup = (variable: string, argument?: string) => string | undefined;

/** Variables that a proxy must be able to answer. Any other is left in the text as it was written. */
export const HEADER_VARIABLES: ReadonlySet<string> = new Set([
  'DOWNSTREAM_LOCAL_ADDRESS',
  'DOWNSTREAM_PEER_URI_SAN',
  'DOWNSTREAM_REMOTE_ADDRESS',
  'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT',
  'HOSTNAME',
  'PROTOCOL',
  'REQ',
  'RESPONSE_CODE',
  'START_TIME',
  'UPSTREAM_REMOTE_ADDRESS',
]);

const VARIABLE = /%(?:%|([A-Z_]+)(?:\(([^)]*)\))?%)/g;

/** `host` and `:authority` are left out: they are the route's authority (`hostOf`). */
export function compileHeaderOperations(
  operations: HeaderOperations | undefined,
): readonly HeaderOperation[] {
  if (operations === undefined) return [];
  return [
    ...operations.remove
      .filter((name) => !isPseudo(name))
      .map((name): HeaderOperation => ({ kind: 'remove', name: name.toLowerCase() })),
    ...compileValues('set', operations.set),
    ...compileValues('add', operations.add),
  ];
}

/** Gateway API's list form in the form of VirtualService; names are unique there. */
export function headerFilterOperations(filter: HttpHeaderFilter): HeaderOperations {
  const toRecord = (
    entries: readonly { readonly name: string; readonly value: string }[],
  ): Record<string, string> => Object.fromEntries(entries.map(({ name, value }) => [name, value]));
  return { set: toRecord(filter.set), add: toRecord(filter.add), remove: filter.remove };
}

/** The value of `host` or `:authority` among the `set` operations. */
export function hostOf(operations: HeaderOperations | undefined): string | undefined {
  for (const [name, value] of Object.entries(operations?.set ?? {})) {
    if (isHost(name)) return value;
  }
  return undefined;
}

/** Text is sent in UTF-8: here, as in headers, with one character for each byte. Blanks around it are none of a value (RFC 9110 §5.5). */
export function parseHeaderValue(written: string): HeaderValue {
  const text = octetsOf(withoutBlanks(written));
  const parts: (string | { variable: string; argument?: string })[] = [];
  let literal = '';
  let last = 0;
  for (const match of text.matchAll(VARIABLE)) {
    const [whole, variable, argument] = match;
    literal += text.slice(last, match.index);
    last = match.index + whole.length;
    if (variable === undefined) literal += '%';
    else if (!HEADER_VARIABLES.has(variable)) literal += whole;
    else {
      if (literal !== '') parts.push(literal);
      literal = '';
      parts.push(argument === undefined ? { variable } : { variable, argument });
    }
  }
  literal += text.slice(last);
  return literal === '' && parts.length > 0 ? parts : [...parts, literal];
}

export function formatHeaderValue(value: HeaderValue, lookup: VariableLookup): string {
  const [first] = value;
  if (value.length === 1 && typeof first === 'string') return first;
  const text = value
    .map((part) =>
      typeof part === 'string'
        ? part
        : withoutControls(lookup(part.variable, part.argument) ?? '-'),
    )
    .join('');
  return withoutBlanks(text);
}

export function applyHeaderOperations(
  operations: readonly HeaderOperation[],
  headers: MutableHeaders,
  lookup: VariableLookup,
): void {
  for (const operation of operations) {
    if (operation.kind === 'remove') headers.remove(operation.name);
    else headers[operation.kind](operation.name, formatHeaderValue(operation.value, lookup));
  }
}

function compileValues(
  kind: 'set' | 'add',
  entries: Readonly<Record<string, string>>,
): readonly HeaderOperation[] {
  return Object.entries(entries)
    .filter(([name]) => !isPseudo(name))
    .map(([name, value]) => ({ kind, name: name.toLowerCase(), value: parseHeaderValue(value) }));
}

function isHost(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === 'host' || lower === ':authority';
}

function isPseudo(name: string): boolean {
  return isHost(name) || name.startsWith(':');
}

/** Those around it; a variable may have left some. */
function withoutBlanks(value: string): string {
  return value.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** A variable's value comes from outside; it must not split a header. */
function withoutControls(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed.
  return value.replace(/[\u0000-\u001f\u007f]/g, '');
}
