/**
 * Fields to header blocks (RFC 7541).
 *
 * Rule: everything is checked before the first byte is written, because a block that breaks off leaves the table
 * of the peer in another state than ours. Secrets are sent as never-indexed literals (§7.1.3), so that no table
 * holds them, here or at any hop behind.
 */
import { H2Error } from '../errors.ts';
import { HEADER_TABLE_BYTES_DEFAULT } from '../frames/protocol.ts';
import { EncoderTable } from './encoder-table.ts';
import { isNameText, isValueText } from './field-octets.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { encodeInteger } from './integer.ts';
import { STATIC_NAMES } from './static-table.ts';

/** Never indexed, whoever sends them. */
const SECRETS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'proxy-authorization',
  'set-cookie',
]);

/** Nearly every message has another value. */
const UNINDEXED: ReadonlySet<string> = new Set([
  ':path',
  'age',
  'content-length',
  'date',
  'etag',
  'expires',
  'forwarded',
  'if-modified-since',
  'if-none-match',
  'last-modified',
  'location',
  'traceparent',
  'x-forwarded-for',
  'x-request-id',
]);

/** An index or a length takes at most six octets, and a field has three of them. */
const FIELD_OVERHEAD_MAX = 18;
/** Updates of the table size in front. */
const UPDATES_BYTES_MAX = 12;
/** Of the table, whatever the peer offers. */
const TABLE_BYTES_MAX = HEADER_TABLE_BYTES_DEFAULT;

/** An upper bound of the length of a block of `fields`. Throws H2Error H2_BAD_FIELD for one that may not be sent. */
export function measureFields(fields: readonly string[]): number {
  let bytes = UPDATES_BYTES_MAX;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? '';
    const value = fields[index + 1] ?? '';
    if (!isNameText(name) || !isValueText(value)) {
      throw badField(name, value);
    }
    bytes += name.length + value.length + FIELD_OVERHEAD_MAX;
  }
  return bytes;
}

export class HpackEncoder {
  readonly #table = new EncoderTable(HEADER_TABLE_BYTES_DEFAULT);
  #tableBytes = HEADER_TABLE_BYTES_DEFAULT;
  /** §4.2: the smallest size since the last block; undefined when nothing changed. */
  #smallest: number | undefined;

  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; takes effect, and is told, with the next block. */
  setTableSize(peerMax: number): void {
    const bytes = Math.min(peerMax, TABLE_BYTES_MAX);
    if (bytes === this.#tableBytes && this.#smallest === undefined) {
      return;
    }
    this.#smallest = Math.min(this.#smallest ?? bytes, bytes);
    this.#tableBytes = bytes;
  }

  /** Writes the block of measured `fields` at `from`, where there is room; returns the position after it. */
  encode(
    fields: readonly string[],
    target: Buffer,
    from: number,
    neverIndexed?: readonly string[],
  ): number {
    let at = this.#writeSizeUpdates(target, from);
    for (let index = 0; index + 1 < fields.length; index += 2) {
      at = this.#writeField(fields[index] ?? '', fields[index + 1] ?? '', target, at, neverIndexed);
    }
    return at;
  }

  #writeSizeUpdates(target: Buffer, from: number): number {
    if (this.#smallest === undefined) {
      return from;
    }
    let at = from;
    if (this.#smallest < this.#tableBytes) {
      this.#table.resize(this.#smallest);
      at = encodeInteger(target, at, 0x20, 5, this.#smallest);
    }
    this.#table.resize(this.#tableBytes);
    this.#smallest = undefined;
    return encodeInteger(target, at, 0x20, 5, this.#tableBytes);
  }

  #writeField(
    name: string,
    value: string,
    target: Buffer,
    at: number,
    neverIndexed: readonly string[] | undefined,
  ): number {
    const fixed = STATIC_NAMES.get(name);
    if (SECRETS.has(name) || neverIndexed?.includes(name) === true) {
      return writeLiteral(target, at, 0x10, 4, fixed?.index ?? 0, name, value);
    }
    if (fixed !== undefined) {
      const offset = fixed.values.indexOf(value);
      if (offset !== -1) {
        return encodeInteger(target, at, 0x80, 7, fixed.index + offset);
      }
    }
    const known = this.#table.find(name);
    if (known !== undefined) {
      const index = this.#table.findValue(known, value);
      if (index !== 0) {
        return encodeInteger(target, at, 0x80, 7, index);
      }
    }
    const nameIndex = fixed?.index ?? (known === undefined ? 0 : this.#table.nameIndex(known));
    if (UNINDEXED.has(name) || !this.#table.isWorthAdding(known, name, value)) {
      return writeLiteral(target, at, 0x00, 4, nameIndex, name, value);
    }
    this.#table.add(name, value);
    return writeLiteral(target, at, 0x40, 6, nameIndex, name, value);
  }
}

/** §6.2. `nameIndex` 0: the name is written out. */
function writeLiteral(
  target: Buffer,
  from: number,
  head: number,
  prefixBits: number,
  nameIndex: number,
  name: string,
  value: string,
): number {
  const at = encodeInteger(target, from, head, prefixBits, nameIndex);
  return writeString(value, target, nameIndex === 0 ? writeString(name, target, at) : at);
}

/** §5.2: coded where that is shorter. */
function writeString(text: string, target: Buffer, from: number): number {
  const coded = huffmanLength(text);
  if (coded < text.length) {
    return huffmanEncode(text, target, encodeInteger(target, from, 0x80, 7, coded));
  }
  const at = encodeInteger(target, from, 0x00, 7, text.length);
  return at + target.write(text, at, 'latin1');
}

function badField(name: string, value: string): H2Error {
  const shown = isNameText(name) ? `the value of ${name}` : `the name ${JSON.stringify(name)}`;
  return new H2Error(
    'H2_BAD_FIELD',
    `${shown.slice(0, 80)} cannot be sent: ${value.length} characters, one of them forbidden`,
    {
      side: 'local',
    },
  );
}
