/**
 * Derived collections, recomputed in the order in which they were made.
 *
 * A derivation may read only collections made before it, so one pass in that order leaves every value
 * consistent with its inputs, and no reader ever sees a half-applied batch. A value that comes out equal
 * to the one before stops the change there. Derivations are pure: same reads, same result.
 */
import {
  type Collection,
  forgetReads,
  type Reader,
  type ReaderSlot,
  type ReadMark,
  Store,
} from './collection.ts';
import { deepEqual } from './deep-equal.ts';

interface Stage {
  run(): void;
}

/** A collection that is written from outside. */
export class Source<V> extends Store<V> {
  /** `undefined` removes. Returns whether anything changed. */
  set(key: string, value: V | undefined): boolean {
    if (deepEqual(this.peek(key), value)) return false;
    this.write(key, value);
    return true;
  }
}

class Node implements Reader {
  readonly reads = new Set<ReadMark>();
  readonly key: string;
  readonly #dirty: Set<Node>;

  constructor(key: string, dirty: Set<Node>) {
    this.key = key;
    this.#dirty = dirty;
  }

  markDirty(): void {
    this.#dirty.add(this);
  }
}

export class Graph {
  readonly #slot: ReaderSlot = { current: undefined };
  readonly #stages: Stage[] = [];

  source<V>(name: string): Source<V> {
    return new Source<V>(name, this.#slot);
  }

  /** One value (or none) for each value of `from`, under the same key. */
  map<I, O>(
    name: string,
    from: Collection<I>,
    fn: (input: I, key: string) => O | undefined,
  ): Collection<O> {
    const out = new Store<O>(name, this.#slot);
    const nodes = this.#stage((key) => {
      const input = from.get(key);
      const value = input === undefined ? undefined : fn(input, key);
      store(out, key, value);
      return input !== undefined;
    });
    from.onKey((key) => nodes.mark(key));
    return out;
  }

  /** Any number of values for each value of `from`; their keys must belong to one input only. */
  flatMap<I, O>(
    name: string,
    from: Collection<I>,
    fn: (input: I, key: string) => readonly (readonly [string, O])[],
  ): Collection<O> {
    const out = new Store<O>(name, this.#slot);
    const owned = new Map<string, ReadonlySet<string>>();
    const nodes = this.#stage((key) => {
      const input = from.get(key);
      const results = new Map(input === undefined ? [] : fn(input, key));
      for (const old of owned.get(key) ?? []) if (!results.has(old)) store(out, old, undefined);
      for (const [outKey, value] of results) store(out, outKey, value);
      if (results.size === 0) owned.delete(key);
      else owned.set(key, new Set(results.keys()));
      return input !== undefined;
    });
    from.onKey((key) => nodes.mark(key));
    return out;
  }

  /** One value (or none) for each bucket of an index of `from`. */
  group<I, O>(
    name: string,
    from: Collection<I>,
    indexName: string,
    fn: (members: readonly I[], bucket: string) => O | undefined,
  ): Collection<O> {
    const out = new Store<O>(name, this.#slot);
    const nodes = this.#stage((bucket) => {
      const members = from.lookup(indexName, bucket);
      store(out, bucket, members.length === 0 ? undefined : fn(members, bucket));
      return members.length > 0;
    });
    from.onBucket(indexName, (bucket) => nodes.mark(bucket));
    return out;
  }

  /** All values of several collections, whose keys must not overlap. */
  merge<V>(name: string, parts: readonly Collection<V>[]): Collection<V> {
    const out = new Store<V>(name, this.#slot);
    const nodes = this.#stage((key) => {
      let found: V | undefined;
      for (const part of parts) found ??= part.get(key);
      store(out, key, found);
      return found !== undefined;
    });
    for (const part of parts) part.onKey((key) => nodes.mark(key));
    return out;
  }

  /** Recomputes what is dirty, once, in order. */
  run(): void {
    for (const stage of this.#stages) stage.run();
  }

  /** `compute` answers whether the key still has an input; without one the node is dropped. */
  #stage(compute: (key: string) => boolean): { mark(key: string): void } {
    const nodes = new Map<string, Node>();
    const dirty = new Set<Node>();
    const slot = this.#slot;
    this.#stages.push({
      run() {
        const batch = [...dirty];
        dirty.clear();
        for (const node of batch) {
          forgetReads(node);
          slot.current = node;
          try {
            if (!compute(node.key)) {
              forgetReads(node);
              nodes.delete(node.key);
            }
          } finally {
            slot.current = undefined;
          }
        }
      },
    });
    return {
      mark(key) {
        let node = nodes.get(key);
        if (node === undefined) {
          node = new Node(key, dirty);
          nodes.set(key, node);
        }
        dirty.add(node);
      },
    };
  }
}

function store<V>(out: Store<V>, key: string, value: V | undefined): void {
  if (!deepEqual(out.peek(key), value)) out.write(key, value);
}
