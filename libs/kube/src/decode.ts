/**
 * Bytes of one object or one watch event, as values or as a statement of what is wrong with them.
 *
 * Nothing here throws: what cannot be read has a key if any is in it, so that it stops nobody else.
 */
import type { TakenBytes } from './bounded-bytes.ts';
import { stringsOf } from './partial-json.ts';
import { type KubeObject, keyOf } from './resources.ts';

export interface Malformed {
  readonly kind: 'malformed';
  /** Absent if not even the name can be read. */
  readonly key: string | undefined;
  readonly reason: string;
}

export type DecodedObject = { readonly kind: 'object'; readonly object: KubeObject } | Malformed;

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED';

export type DecodedEvent =
  | { readonly kind: 'change'; readonly type: WatchEventType; readonly object: KubeObject }
  | { readonly kind: 'bookmark'; readonly resourceVersion: string }
  | { readonly kind: 'error'; readonly status: unknown }
  /** `type` is undefined if not even that can be read: some change is lost. */
  | (Malformed & { readonly type: WatchEventType | undefined });

const CHANGES: readonly string[] = ['ADDED', 'MODIFIED', 'DELETED'];
const REASON_MAX = 200;

export function decodeItem(item: TakenBytes): DecodedObject {
  if (!item.isComplete) {
    const key = partialKey(item.bytes, '');
    return { kind: 'malformed', key, reason: tooLong(item) };
  }
  const value = parse(item.bytes);
  return value.kind === 'bad'
    ? { ...value, kind: 'malformed', key: undefined }
    : checked(value.json);
}

export function decodeEvent(line: TakenBytes): DecodedEvent {
  if (!line.isComplete) {
    const type = stringsOf(line.bytes.toString('utf8'), new Set(['type'])).get('type');
    const key = partialKey(line.bytes, 'object.');
    return { kind: 'malformed', type: changeType(type), key, reason: tooLong(line) };
  }
  const value = parse(line.bytes);
  if (value.kind === 'bad') {
    return { ...value, kind: 'malformed', type: undefined, key: undefined };
  }
  const event = value.json as { type?: unknown; object?: unknown } | null;
  const type = event?.type;
  if (type === 'ERROR') {
    return { kind: 'error', status: event?.object };
  }
  if (type === 'BOOKMARK') {
    return bookmark(event?.object);
  }
  const change = changeType(type);
  if (change === undefined) {
    const reason = `unknown event type "${String(type).slice(0, 40)}"`;
    return { kind: 'malformed', type: undefined, key: undefined, reason };
  }
  const decoded = checked(event?.object);
  return decoded.kind === 'object'
    ? { kind: 'change', type: change, object: decoded.object }
    : { ...decoded, type: change };
}

function bookmark(object: unknown): DecodedEvent {
  const version = (object as KubeObject | null | undefined)?.metadata?.resourceVersion;
  return typeof version === 'string' && version !== ''
    ? { kind: 'bookmark', resourceVersion: version }
    : {
        kind: 'malformed',
        type: undefined,
        key: undefined,
        reason: 'a bookmark without resourceVersion',
      };
}

function changeType(type: unknown): WatchEventType | undefined {
  return typeof type === 'string' && CHANGES.includes(type) ? (type as WatchEventType) : undefined;
}

/** The metadata that everything relies on is checked; the rest is the reader's. */
function checked(value: unknown): DecodedObject {
  const metadata = (value as { metadata?: unknown } | null | undefined)?.metadata;
  const fields = (typeof metadata === 'object' ? metadata : undefined) as
    | Readonly<Record<string, unknown>>
    | null
    | undefined;
  const name = fields?.['name'];
  const namespace = fields?.['namespace'];
  if (typeof name !== 'string' || name === '') {
    return { kind: 'malformed', key: undefined, reason: 'metadata.name is no name' };
  }
  if (namespace !== undefined && typeof namespace !== 'string') {
    return { kind: 'malformed', key: undefined, reason: 'metadata.namespace is no name' };
  }
  for (const field of ['resourceVersion', 'uid']) {
    if (typeof fields?.[field] !== 'string') {
      const reason = `metadata.${field} is no string`;
      return { kind: 'malformed', key: keyOf({ namespace, name }), reason };
    }
  }
  return { kind: 'object', object: value as KubeObject };
}

type Parsed =
  | { readonly kind: 'json'; readonly json: unknown }
  | { readonly kind: 'bad'; readonly reason: string };

function parse(bytes: Buffer): Parsed {
  try {
    return { kind: 'json', json: JSON.parse(bytes.toString('utf8')) as unknown };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'bad', reason: `not JSON: ${reason}`.slice(0, REASON_MAX) };
  }
}

function partialKey(bytes: Buffer, prefix: string): string | undefined {
  const namePath = `${prefix}metadata.name`;
  const namespacePath = `${prefix}metadata.namespace`;
  const found = stringsOf(bytes.toString('utf8'), new Set([namePath, namespacePath]));
  const name = found.get(namePath);
  return name === undefined ? undefined : keyOf({ namespace: found.get(namespacePath), name });
}

function tooLong({ bytes, length }: TakenBytes): string {
  return `${length} bytes, at most ${bytes.length} are read`;
}
