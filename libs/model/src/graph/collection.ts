/**
 * Keyed values with indexes, which remember who read what.
 *
 * A read made while a derived node is computed is recorded; when the value, or an index bucket that was
 * read, changes later, that node becomes dirty. A bucket counts as changed when an entry joins it, leaves
 * it, or changes inside it. Reads outside of a computation cost nothing and are not recorded.
 */

import { KeySets } from './key-sets.ts';
import { type ReaderSlot, type ReadMark, touch } from './reads.ts';

interface Index<V> {
  readonly extract: (value: V, key: string) => Iterable<string>;
  readonly buckets: KeySets;
  readonly marks: Map<string, ReadMark>;
  readonly listeners: ((bucket: string) => void)[];
}

const NO_BUCKETS: ReadonlySet<string> = new Set();

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
  /** The value without recording a read: for whoever is told by `onKey` of each change. */
  peek(key: string): V | undefined;
  /** As `lookup`, without recording a read: for whoever is told by `onBucket`. */
  members(indexName: string, bucket: string): readonly V[];
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
    this.#indexes.set(name, { extract, buckets: new KeySets(), marks: new Map(), listeners: [] });
    return this;
  }

  get(key: string): V | undefined {
    this.#slot.record(this.#marks, key);
    return this.#values.get(key);
  }

  lookup(indexName: string, bucket: string): readonly V[] {
    this.#slot.record(this.#index(indexName).marks, bucket);
    return this.members(indexName, bucket);
  }

  keysOf(indexName: string, bucket: string): readonly string[] {
    const index = this.#index(indexName);
    this.#slot.record(index.marks, bucket);
    return index.buckets.sortedKeysOf(bucket);
  }

  hasAny(indexName: string, bucket: string): boolean {
    const index = this.#index(indexName);
    this.#slot.record(index.marks, bucket);
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

  members(indexName: string, bucket: string): readonly V[] {
    const found: V[] = [];
    for (const key of this.#index(indexName).buckets.sortedKeysOf(bucket)) {
      const value = this.#values.get(key);
      if (value !== undefined) found.push(value);
    }
    return found;
  }

  #reindex(
    index: Index<V>,
    key: string,
    { old, now }: { readonly old: ReadonlySet<string>; readonly now: ReadonlySet<string> },
  ): void {
    for (const bucket of old) if (!now.has(bucket)) index.buckets.delete(bucket, key);
    for (const bucket of now) index.buckets.add(bucket, key);
    for (const bucket of new Set([...old, ...now])) {
      touch(index.marks.get(bucket));
      for (const listener of index.listeners) listener(bucket);
    }
  }

  #index(name: string): Index<V> {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new Error(`collection ${this.name} has no index ${name}`);
    return index;
  }
}

function bucketsOf<V>(index: Index<V>, key: string, value: V | undefined): ReadonlySet<string> {
  return value === undefined ? NO_BUCKETS : new Set(index.extract(value, key));
}
