/**
 * Keyed values with indexes, which remember who read what.
 *
 * A read made while a derived node is computed is recorded; when the value, or an index bucket that was
 * read, changes later, that node becomes dirty. A bucket counts as changed when an entry joins it, leaves
 * it, or changes inside it. Reads outside of a computation cost nothing and are not recorded.
 */

/** One derived value, as a reader of others. */
export interface Reader {
  /** Of the computation that runs, or ran last. */
  reads: Set<ReadMark>;
  markDirty(): void;
}

/** Something that was read: a key or an index bucket. */
export interface ReadMark {
  readonly readers: Set<Reader>;
  readonly home: Map<string, ReadMark>;
  readonly name: string;
}

/** The computation that runs now, shared by all collections of one graph. */
export interface ReaderSlot {
  current: Reader | undefined;
}

interface Index<V> {
  readonly extract: (value: V, key: string) => Iterable<string>;
  readonly buckets: Map<string, Set<string>>;
  readonly marks: Map<string, ReadMark>;
  readonly listeners: ((bucket: string) => void)[];
}

const NO_KEYS: ReadonlySet<string> = new Set();

/** What derivations and outputs use of a store. */
export interface Collection<V> {
  readonly name: string;
  /** Everything, unrecorded: for outputs and for dumps, never inside a computation. */
  readonly all: ReadonlyMap<string, V>;
  /** Must be called before the first value arrives. */
  addIndex(name: string, extract: (value: V, key: string) => Iterable<string>): this;
  get(key: string): V | undefined;
  /** Values of a bucket, in order of key, so that results do not depend on the order of arrival. */
  lookup(indexName: string, bucket: string): readonly V[];
  /** Keys of a bucket, sorted. */
  keysOf(indexName: string, bucket: string): readonly string[];
  hasAny(indexName: string, bucket: string): boolean;
  /** The value without recording a read. */
  peek(key: string): V | undefined;
  onKey(listener: (key: string, value: V | undefined, before: V | undefined) => void): void;
  onBucket(indexName: string, listener: (bucket: string) => void): void;
}

export class Store<V> implements Collection<V> {
  readonly name: string;
  readonly #slot: ReaderSlot;
  readonly #values = new Map<string, V>();
  readonly #indexes = new Map<string, Index<V>>();
  readonly #marks = new Map<string, ReadMark>();
  readonly #keyListeners: ((key: string, value: V | undefined, before: V | undefined) => void)[] =
    [];

  constructor(name: string, slot: ReaderSlot) {
    this.name = name;
    this.#slot = slot;
  }

  addIndex(name: string, extract: (value: V, key: string) => Iterable<string>): this {
    this.#indexes.set(name, { extract, buckets: new Map(), marks: new Map(), listeners: [] });
    return this;
  }

  get(key: string): V | undefined {
    this.#record(this.#marks, key);
    return this.#values.get(key);
  }

  lookup(indexName: string, bucket: string): readonly V[] {
    const found: V[] = [];
    for (const key of this.keysOf(indexName, bucket)) {
      const value = this.#values.get(key);
      if (value !== undefined) found.push(value);
    }
    return found;
  }

  keysOf(indexName: string, bucket: string): readonly string[] {
    const index = this.#index(indexName);
    this.#record(index.marks, bucket);
    const keys = index.buckets.get(bucket) ?? NO_KEYS;
    return keys.size < 2 ? [...keys] : [...keys].sort();
  }

  hasAny(indexName: string, bucket: string): boolean {
    const index = this.#index(indexName);
    this.#record(index.marks, bucket);
    return index.buckets.has(bucket);
  }

  get all(): ReadonlyMap<string, V> {
    return this.#values;
  }

  onKey(listener: (key: string, value: V | undefined, before: V | undefined) => void): void {
    this.#keyListeners.push(listener);
  }

  onBucket(indexName: string, listener: (bucket: string) => void): void {
    this.#index(indexName).listeners.push(listener);
  }

  /** `undefined` removes. The caller has checked that the value differs from the one before. An index that throws has changed nothing. */
  write(key: string, value: V | undefined): void {
    const before = this.#values.get(key);
    const moves = [...this.#indexes.values()].map((index) => ({
      index,
      old: bucketsOf(index, key, before),
      now: bucketsOf(index, key, value),
    }));
    for (const { index, old, now } of moves) this.#reindex(index, key, { old, now });
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    touch(this.#marks.get(key));
    for (const listener of this.#keyListeners) listener(key, value, before);
  }

  peek(key: string): V | undefined {
    return this.#values.get(key);
  }

  #reindex(
    index: Index<V>,
    key: string,
    { old, now }: { readonly old: ReadonlySet<string>; readonly now: ReadonlySet<string> },
  ): void {
    for (const bucket of old) {
      if (now.has(bucket)) continue;
      const keys = index.buckets.get(bucket);
      keys?.delete(key);
      if (keys?.size === 0) index.buckets.delete(bucket);
    }
    for (const bucket of now) {
      const keys = index.buckets.get(bucket);
      if (keys === undefined) index.buckets.set(bucket, new Set([key]));
      else keys.add(key);
    }
    for (const bucket of new Set([...old, ...now])) {
      touch(index.marks.get(bucket));
      for (const listener of index.listeners) listener(bucket);
    }
  }

  #record(marks: Map<string, ReadMark>, name: string): void {
    const reader = this.#slot.current;
    if (reader === undefined) return;
    let mark = marks.get(name);
    if (mark === undefined) {
      mark = { readers: new Set(), home: marks, name };
      marks.set(name, mark);
    }
    mark.readers.add(reader);
    reader.reads.add(mark);
  }

  #index(name: string): Index<V> {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new Error(`collection ${this.name} has no index ${name}`);
    return index;
  }
}

function bucketsOf<V>(index: Index<V>, key: string, value: V | undefined): ReadonlySet<string> {
  return value === undefined ? NO_KEYS : new Set(index.extract(value, key));
}

/** Forgets what a reader read before and does not read now; a mark that nobody reads is dropped. */
export function forgetReads(reader: Reader, before: ReadonlySet<ReadMark>): void {
  for (const mark of before) {
    if (reader.reads.has(mark)) continue;
    mark.readers.delete(reader);
    if (mark.readers.size === 0) mark.home.delete(mark.name);
  }
}

function touch(mark: ReadMark | undefined): void {
  if (mark === undefined) return;
  for (const reader of mark.readers) reader.markDirty();
}
