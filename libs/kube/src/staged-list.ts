/** A list while it is read. Nothing is told of it before `commit`, except what is malformed. */
import { isDeepStrictEqual } from 'node:util';

import type { Entry, ReflectorStore, Unreadable } from './reflector-store.ts';
import { type KubeObject, keyOf } from './resources.ts';

interface StagedListOptions<T> {
  readonly store: ReflectorStore<T>;
  readonly current: ReadonlyMap<string, Entry<T>>;
  readonly entryOf: (
    key: string,
    object: KubeObject,
    count: number,
  ) => Entry<T> | undefined | Unreadable;
}

export class StagedList<T> {
  readonly #options: StagedListOptions<T>;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #malformed = new Set<string>();
  #hasNameless = false;

  constructor(options: StagedListOptions<T>) {
    this.#options = options;
  }

  put(object: KubeObject): void {
    const key = keyOf(object.metadata);
    const { uid, resourceVersion } = object.metadata;
    const old = this.#options.current.get(key);
    const isSeen = old?.uid === uid && old?.resourceVersion === resourceVersion;
    const entry = this.#options.entryOf(key, object, this.#entries.size);
    if (entry === undefined) {
      return;
    }
    if ('reason' in entry) {
      this.#options.store.malformed(key, entry.reason);
      this.#malformed.add(key);
      if (old?.uid === uid) {
        this.#keepOld(key);
      }
    } else {
      const isSame = isSeen && old !== undefined && isDeepStrictEqual(old.object, entry.object);
      this.#entries.set(key, isSame ? old : entry);
    }
  }

  malformed(key: string | undefined, reason: string): void {
    this.#options.store.malformed(key, reason);
    if (key === undefined) {
      // It may be any of the old ones, so none of them is known to be gone.
      this.#hasNameless = true;
    } else {
      this.#malformed.add(key);
      this.#keepOld(key);
    }
  }

  commit(): void {
    const keepsUnlisted = this.#hasNameless;
    this.#options.store.commit(this.#entries, { malformed: this.#malformed, keepsUnlisted });
  }

  #keepOld(key: string): void {
    const old = this.#options.current.get(key);
    if (old !== undefined) {
      this.#entries.set(key, old);
    }
  }
}
