/**
 * The objects of one reflector and what changed in them.
 *
 * A list is staged beside the world and takes its place only when it is complete; the difference is
 * told once, deletions first, because an address may have moved to another object. A list is compared by what is in
 * it: after a restore from a backup a version that was seen before may be of other content.
 */
import type { KubeObject, ObjectMeta } from './resources.ts';
import { keyOf } from './resources.ts';
import { StagedList } from './staged-list.ts';

export type ReflectorEvent<T> =
  | { readonly kind: 'added'; readonly key: string; readonly object: T }
  | {
      readonly kind: 'updated';
      readonly key: string;
      readonly object: T;
      readonly old: T;
      /** A version between the two could not be read; they may be equal. */
      readonly wasMalformed: boolean;
    }
  | { readonly kind: 'deleted'; readonly key: string; readonly old: T }
  /** This version cannot be read; the last good one, if any, stays. Without a key not even its name is known. */
  | { readonly kind: 'malformed'; readonly key: string | undefined; readonly reason: string }
  /** What was malformed and of which nothing was kept is gone, or is not wanted any more. */
  | { readonly kind: 'forgotten'; readonly key: string }
  /** The first complete list has been told. Once. */
  | { readonly kind: 'synced' };

/** What is kept of an object beside itself, in little memory: a version is a number where that says the same. */
export class Entry<T> {
  readonly object: T;
  readonly uid: string;
  readonly #version: number | string;

  constructor(
    object: T,
    { uid = '', resourceVersion = '' }: Pick<ObjectMeta, 'uid' | 'resourceVersion'>,
  ) {
    this.object = object;
    this.uid = uid;
    const version = Number(resourceVersion);
    this.#version = String(version) === resourceVersion ? version : resourceVersion;
  }

  get resourceVersion(): string {
    return String(this.#version);
  }
}

/** Of an object that `prune` throws for, or that is one too many. */
export interface Unreadable {
  readonly reason: string;
}

export interface StoreOptions<T> {
  /** What is kept of an object; undefined if it is not wanted at all. May throw: then the object is malformed. */
  readonly prune: (object: KubeObject) => T | undefined;
  readonly emit: (event: ReflectorEvent<T>) => void;
  readonly objectsMax: number;
}

export class ReflectorStore<T> {
  readonly #options: StoreOptions<T>;
  readonly #entries = new Map<string, Entry<T>>();
  /** Keys whose last version could not be read; as many as there may be objects. */
  readonly #malformed = new Set<string>();

  constructor(options: StoreOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.object;
  }

  identityOf(key: string): { readonly uid: string; readonly resourceVersion: string } | undefined {
    const entry = this.#entries.get(key);
    return entry && { uid: entry.uid, resourceVersion: entry.resourceVersion };
  }

  *entries(): Generator<[string, T]> {
    for (const [key, { object }] of this.#entries) {
      yield [key, object];
    }
  }

  /** A change of one object. */
  put(object: KubeObject): void {
    const key = keyOf(object.metadata);
    const old = this.#entries.get(key);
    const { uid, resourceVersion } = object.metadata;
    const isTold = old !== undefined && old.uid === uid && old.resourceVersion === resourceVersion;
    if (isTold && !this.#malformed.has(key)) {
      // A watch may repeat what its list had.
      return;
    }
    const entry = this.#entryOf(key, { object, count: this.#entries.size });
    if (entry === undefined) {
      // Not wanted any more.
      this.delete(key);
    } else if ('reason' in entry) {
      // Of an earlier object of this name nothing is kept.
      if (old !== undefined && old.uid !== uid) {
        this.delete(key);
      }
      this.malformed(key, entry.reason);
    } else {
      this.#replace(key, entry, old);
    }
  }

  delete(key: string): void {
    const old = this.#entries.get(key);
    const wasMalformed = this.#malformed.delete(key);
    if (old !== undefined) {
      this.#entries.delete(key);
      this.#options.emit({ kind: 'deleted', key, old: old.object });
    } else if (wasMalformed) {
      this.#options.emit({ kind: 'forgotten', key });
    }
  }

  malformed(key: string | undefined, reason: string): void {
    if (key !== undefined) {
      this.#remember(key);
    }
    this.#options.emit({ kind: 'malformed', key, reason });
  }

  /** An empty list beside the world. */
  stage(): StagedList<T> {
    return new StagedList({
      store: this,
      current: this.#entries,
      entryOf: (key, object, count) => this.#entryOf(key, { object, count }),
    });
  }

  /** Makes a complete list the world. */
  commit(staged: ReadonlyMap<string, Entry<T>>, { malformed, keepsUnlisted }: CommitOptions): void {
    if (!keepsUnlisted) {
      const gone = [...this.#entries.keys(), ...this.#malformed].filter((key) => !staged.has(key));
      for (const key of gone.filter((k) => !malformed.has(k) || this.#entries.has(k))) {
        this.delete(key);
      }
      for (const key of malformed) {
        this.#remember(key);
      }
    }
    for (const [key, entry] of staged) {
      const old = this.#entries.get(key);
      const isReadAgain = this.#malformed.has(key) && !malformed.has(key);
      if (old !== entry || isReadAgain) {
        this.#replace(key, entry, old);
      }
    }
  }

  clear(): void {
    this.commit(new Map(), { malformed: new Set(), keepsUnlisted: false });
  }

  #remember(key: string): void {
    if (this.#malformed.size < this.#options.objectsMax) {
      this.#malformed.add(key);
    }
  }

  #replace(key: string, entry: Entry<T>, old: Entry<T> | undefined): void {
    const { emit } = this.#options;
    const { object } = entry;
    const wasMalformed = this.#malformed.delete(key);
    if (old !== undefined && old.uid !== entry.uid) {
      // Deleted and made again under the same name while nobody looked.
      this.delete(key);
      this.#entries.set(key, entry);
      emit({ kind: 'added', key, object });
      return;
    }
    this.#entries.set(key, entry);
    emit(
      old === undefined
        ? { kind: 'added', key, object }
        : { kind: 'updated', key, object, old: old.object, wasMalformed },
    );
  }

  #entryOf(
    key: string,
    { object, count }: { readonly object: KubeObject; readonly count: number },
  ): Entry<T> | undefined | Unreadable {
    const { prune, objectsMax } = this.#options;
    try {
      const kept = prune(object);
      if (kept === undefined) {
        return undefined;
      }
      if (count >= objectsMax && !this.#entries.has(key)) {
        return { reason: `more than ${objectsMax} objects of this kind` };
      }
      return new Entry(kept, object.metadata);
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error) };
    }
  }
}

interface CommitOptions {
  /** Keys of items that could not be read. */
  readonly malformed: ReadonlySet<string>;
  /** What the list does not name stays. */
  readonly keepsUnlisted: boolean;
}
