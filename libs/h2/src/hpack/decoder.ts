/**
 * Header blocks to fields (RFC 7541).
 *
 * Rule: what a block may cost is counted while it is decoded. Over the limit nothing more is kept, but the whole
 * block is read, so that the table stays the peer's and only one message is lost, not the connection.
 */
import { DynamicTable, ENTRY_OVERHEAD_BYTES, type TableEntry } from './dynamic-table.ts';
import { isFieldName, isFieldValue } from './field-octets.ts';
import { HpackError } from './hpack-error.ts';
import { huffmanDecode, huffmanDecodedMax } from './huffman.ts';
import { INTEGER_OCTETS_MAX } from './integer.ts';
import { STATIC_ENTRIES, staticName, staticValue } from './static-table.ts';

export interface HpackDecoderOptions {
  /** Our SETTINGS_HEADER_TABLE_SIZE. */
  readonly tableBytesMax: number;
  /** Of a list: names, values and 32 for each (RFC 9113 §6.5.2). */
  readonly listBytesMax: number;
  readonly fieldsMax: number;
}

export interface DecodedFields {
  /** Name, value, name, value, in the order of the block. Characters are bytes (latin1). */
  readonly fields: readonly string[];
  /** §7.1.3: names that were sent so that no one may index them; whoever passes them on does the same. */
  readonly neverIndexed: readonly string[] | undefined;
  /** Over a limit: `fields` is the beginning. */
  readonly isTooLarge: boolean;
  /** A name or a value that RFC 9113 §8.2.1 forbids. */
  readonly isMalformed: boolean;
}

const STATIC: readonly TableEntry[] = Array.from({ length: STATIC_ENTRIES }, (_, offset) => ({
  name: staticName(offset + 1),
  value: staticValue(offset + 1),
  isNameValid: true,
  isValueValid: true,
}));

/** Holds one string while it is decoded; shared, because decoding never waits. */
let scratch: Buffer = Buffer.allocUnsafeSlow(4096);

export class HpackDecoder {
  readonly #options: HpackDecoderOptions;
  readonly #table: DynamicTable;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;
  #fields: string[] = [];
  #neverIndexed: string[] | undefined;
  #bytes = 0;
  #count = 0;
  #isTooLarge = false;
  #isMalformed = false;
  /** Of the string read last. */
  #isValid = true;

  constructor(options: HpackDecoderOptions) {
    this.#options = options;
    this.#table = new DynamicTable(options.tableBytesMax);
  }

  /** For tests: the RFC's size of the dynamic table, and its entries. */
  get table(): { readonly bytes: number; readonly entries: number } {
    return { bytes: this.#table.bytes, entries: this.#table.length };
  }

  /** Throws HpackError; the decoder must not be used again then. `block` is not kept. */
  decode(block: Uint8Array): DecodedFields {
    this.#block = Buffer.from(block.buffer, block.byteOffset, block.length);
    this.#at = 0;
    this.#fields = [];
    this.#neverIndexed = undefined;
    this.#bytes = 0;
    this.#count = 0;
    this.#isTooLarge = false;
    this.#isMalformed = false;
    this.#readSizeUpdates();
    while (this.#at < block.length) {
      this.#readField();
    }
    return {
      fields: this.#fields,
      neverIndexed: this.#neverIndexed,
      isTooLarge: this.#isTooLarge,
      isMalformed: this.#isMalformed,
    };
  }

  /** §4.2, §6.3: only in front, never above what we allow; at most two make sense (a low and a final one). */
  #readSizeUpdates(): void {
    for (let updates = 1; ((this.#block[this.#at] ?? 0) & 0xe0) === 0x20; updates += 1) {
      const size = this.#readInteger(5);
      if (size > this.#options.tableBytesMax) {
        throw new HpackError(
          `a table of ${size} bytes, allowed are ${this.#options.tableBytesMax}`,
        );
      }
      if (updates > 2) {
        throw new HpackError('more than two updates of the table size in a block');
      }
      this.#table.resize(size);
    }
  }

  #readField(): void {
    const first = this.#block[this.#at] ?? 0;
    if ((first & 0x80) !== 0) {
      // §6.1.
      const entry = this.#entryAt(this.#readInteger(7));
      this.#emit(entry.name, entry.value, entry.isNameValid && entry.isValueValid);
    } else if ((first & 0x40) !== 0) {
      this.#readIndexed();
    } else if ((first & 0x20) !== 0) {
      throw new HpackError('an update of the table size after a field');
    } else {
      this.#readUnindexed((first & 0x10) !== 0);
    }
  }

  /** §6.2.1. Also over the limit: later blocks may refer to it. */
  #readIndexed(): void {
    const index = this.#readInteger(6);
    const known = index === 0 ? undefined : this.#entryAt(index);
    const name = known === undefined ? this.#readString(isFieldName) : known.name;
    const isNameValid = known === undefined ? this.#isValid : known.isNameValid;
    const value = this.#readString(isFieldValue);
    const isValueValid = this.#isValid;
    this.#table.add({ name, value, isNameValid, isValueValid });
    this.#emit(name, value, isNameValid && isValueValid);
  }

  /** §6.2.2, §6.2.3. */
  #readUnindexed(isNever: boolean): void {
    const index = this.#readInteger(4);
    const known = index === 0 ? undefined : this.#entryAt(index);
    if (this.#isTooLarge) {
      if (known === undefined) {
        this.#skipString();
      }
      this.#skipString();
      return;
    }
    const name = known === undefined ? this.#readString(isFieldName) : known.name;
    const isNameValid = known === undefined ? this.#isValid : known.isNameValid;
    const value = this.#readString(isFieldValue);
    this.#emit(name, value, isNameValid && this.#isValid);
    if (isNever) {
      this.#neverIndexed ??= [];
      this.#neverIndexed.push(name);
    }
  }

  #emit(name: string, value: string, isValid: boolean): void {
    this.#bytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#count += 1;
    if (this.#bytes > this.#options.listBytesMax || this.#count > this.#options.fieldsMax) {
      this.#isTooLarge = true;
      return;
    }
    if (!isValid) {
      this.#isMalformed = true;
    }
    this.#fields.push(name, value);
  }

  /** §2.3.3. */
  #entryAt(index: number): TableEntry {
    const entry =
      index <= STATIC_ENTRIES ? STATIC[index - 1] : this.#table.get(index - STATIC_ENTRIES - 1);
    if (entry === undefined) {
      throw new HpackError(`there is no entry ${index}`);
    }
    return entry;
  }

  /** §5.1. */
  #readInteger(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    let value = (this.#block[this.#at] ?? 0) & most;
    this.#at += 1;
    if (value < most) {
      return value;
    }
    for (let octet = 0; octet < INTEGER_OCTETS_MAX; octet += 1) {
      if (this.#at >= this.#block.length) {
        throw new HpackError('the block ends inside of an integer');
      }
      const byte = this.#block[this.#at] ?? 0;
      this.#at += 1;
      value += (byte & 0x7f) << (7 * octet);
      if ((byte & 0x80) === 0) {
        return value;
      }
    }
    throw new HpackError('an integer of too many octets');
  }

  /** §5.2: where the bytes are; moves behind them. */
  #readLength(): number {
    if (this.#at >= this.#block.length) {
      throw new HpackError('the block ends before a string');
    }
    const length = this.#readInteger(7);
    if (length > this.#block.length - this.#at) {
      throw new HpackError('the block ends inside of a string');
    }
    return length;
  }

  #skipString(): void {
    const length = this.#readLength();
    this.#at += length;
  }

  #readString(check: (bytes: Uint8Array, from: number, to: number) => boolean): string {
    const block = this.#block;
    const isCoded = ((block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#readLength();
    const from = this.#at;
    const to = from + length;
    this.#at = to;
    if (!isCoded) {
      this.#isValid = check(block, from, to);
      return block.toString('latin1', from, to);
    }
    const needed = huffmanDecodedMax(length);
    if (scratch.length < needed) {
      scratch = Buffer.allocUnsafeSlow(needed);
    }
    const decoded = huffmanDecode(block, from, to, scratch);
    this.#isValid = check(scratch, 0, decoded);
    return scratch.toString('latin1', 0, decoded);
  }
}
