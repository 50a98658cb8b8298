/**
 * The decoder's dynamic table (RFC 7541 §2.3.2, §4): a ring of entries, newest first.
 *
 * Rule: its size in the RFC's sense (name + value + 32 each) never exceeds what we announced, and that alone
 * bounds the entries. Whether an entry's name and value are valid in HTTP is known once, when it is added.
 */

/** §4.1. */
export const ENTRY_OVERHEAD_BYTES = 32;

export interface TableEntry {
  readonly name: string;
  readonly value: string;
  /** RFC 9113 §8.2.1 allows them. */
  readonly isNameValid: boolean;
  readonly isValueValid: boolean;
}

export class DynamicTable {
  #entries: (TableEntry | undefined)[] = [];
  /** Of the newest entry; older ones follow below, round. */
  #newest = -1;
  #count = 0;
  #bytes = 0;
  #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** 0 is the newest. */
  get(index: number): TableEntry | undefined {
    if (index >= this.#count) {
      return undefined;
    }
    const capacity = this.#entries.length;
    return this.#entries[(this.#newest - index + capacity) % capacity];
  }

  /** §4.4: one that is larger than the table empties it and is not kept. */
  add(entry: TableEntry): void {
    const size = entry.name.length + entry.value.length + ENTRY_OVERHEAD_BYTES;
    this.#evictTo(this.#bytesMax - size);
    if (size > this.#bytesMax) {
      return;
    }
    if (this.#count === this.#entries.length) {
      this.#grow();
    }
    this.#newest = (this.#newest + 1) % this.#entries.length;
    this.#entries[this.#newest] = entry;
    this.#count += 1;
    this.#bytes += size;
  }

  /** §4.3. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evictTo(bytesMax);
  }

  #evictTo(bytes: number): void {
    while (this.#bytes > bytes && this.#count > 0) {
      const capacity = this.#entries.length;
      const oldest = (this.#newest - this.#count + 1 + capacity) % capacity;
      const entry = this.#entries[oldest];
      this.#entries[oldest] = undefined;
      this.#count -= 1;
      this.#bytes -= (entry?.name.length ?? 0) + (entry?.value.length ?? 0) + ENTRY_OVERHEAD_BYTES;
    }
  }

  #grow(): void {
    const inOrder: (TableEntry | undefined)[] = [];
    for (let index = this.#count - 1; index >= 0; index -= 1) {
      inOrder.push(this.get(index));
    }
    this.#newest = this.#count - 1;
    const capacity = Math.max(8, this.#count * 2);
    this.#entries = inOrder.concat(new Array<undefined>(capacity - inOrder.length).fill(undefined));
  }
}
