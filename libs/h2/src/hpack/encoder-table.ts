/**
 * The encoder's dynamic table: the same entries that the peer's decoder holds, found by name and value.
 *
 * Rule: an entry is known by when it was added (`sequence`); its index follows from how many came after it.
 * A name whose values are hardly ever seen again (ids, times, paths) stops being added, because each would
 * push out what is worth keeping.
 */
import { ENTRY_OVERHEAD_BYTES } from './dynamic-table.ts';
import { STATIC_ENTRIES } from './static-table.ts';

interface Entry {
  readonly value: string;
  readonly bytes: number;
  readonly sequence: number;
  readonly owner: KnownName;
}

export interface KnownName {
  /** Oldest first. */
  readonly entries: Entry[];
  added: number;
  found: number;
}

/** After so many, a name has to be worth it. */
const TRIAL_ENTRIES = 16;
/** Names that statistics are kept of; others are not added to the table. */
const NAMES_MAX = 256;

export class EncoderTable {
  readonly #names = new Map<string, KnownName>();
  /** Oldest first, from `#oldest` on. */
  #entries: Entry[] = [];
  #oldest = 0;
  #sequence = 0;
  #bytes = 0;
  #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(name: string): KnownName | undefined {
    return this.#names.get(name);
  }

  /** Index of the entry, or 0. */
  findValue(known: KnownName, value: string): number {
    for (let index = known.entries.length - 1; index >= 0; index -= 1) {
      const entry = known.entries[index];
      if (entry?.value === value) {
        known.found += 1;
        return this.#indexOf(entry);
      }
    }
    return 0;
  }

  /** Index of an entry with this name, or 0. */
  nameIndex(known: KnownName): number {
    const newest = known.entries.at(-1);
    return newest === undefined ? 0 : this.#indexOf(newest);
  }

  /** Should a new value of the name be added? */
  isWorthAdding(known: KnownName | undefined, name: string, value: string): boolean {
    const size = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (size > this.#bytesMax / 4) {
      return false;
    }
    return known === undefined
      ? this.#names.size < NAMES_MAX
      : known.added < TRIAL_ENTRIES || known.found >= known.added;
  }

  add(name: string, value: string): void {
    const bytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#evictTo(this.#bytesMax - bytes);
    let owner = this.#names.get(name);
    if (owner === undefined) {
      owner = { entries: [], added: 0, found: 0 };
      this.#names.set(name, owner);
    }
    const entry: Entry = { value, bytes, sequence: this.#sequence, owner };
    this.#sequence += 1;
    owner.added += 1;
    owner.entries.push(entry);
    this.#entries.push(entry);
    this.#bytes += bytes;
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evictTo(bytesMax);
  }

  #indexOf(entry: Entry): number {
    return STATIC_ENTRIES + this.#sequence - entry.sequence;
  }

  #evictTo(bytes: number): void {
    while (this.#bytes > bytes && this.#oldest < this.#entries.length) {
      const entry = this.#entries[this.#oldest];
      this.#oldest += 1;
      this.#bytes -= entry?.bytes ?? 0;
      // The oldest of all is the oldest of its name.
      entry?.owner.entries.shift();
    }
    if (this.#oldest > 64 && this.#oldest * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#oldest);
      this.#oldest = 0;
    }
  }
}
