/**
 * Derived collections, recomputed in the order in which they were made.
 *
 * A derivation may read only collections made before it, so one pass in that order leaves every value
 * consistent with its inputs, and no reader ever sees a half-applied batch. A value that comes out equal
 * to the one before stops the change there. Derivations are pure: same reads, same result.
 *
 * A derivation that throws leaves its value as it was and holds up no other; `rollback` then puts the sources back, and with
 * them everything that was derived from what they had been given.
 */
import { type Collection, Store } from './collection.ts';
import { deepEqual } from './deep-equal.ts';
import { type Reader, ReaderSlot, type ReadMark } from './reads.ts';

interface Stage {
  run(failures: DeriveFailure[]): void;
}

/** A derivation that threw. */
export interface DeriveFailure {
  readonly collection: string;
  readonly key: string;
  readonly error: unknown;
}

/** A collection that is written from outside. */
export class Source<V> extends Store<V> {
  /** Values at the last `commit`, of what was written since. */
  readonly #before = new Map<string, V | undefined>();

  /** `undefined` removes. Returns whether anything changed. */
  set(key: string, value: V | undefined): boolean {
    const before = this.peek(key);
    if (deepEqual(before, value)) return false;
    this.write(key, value);
    if (!this.#before.has(key)) this.#before.set(key, before);
    return true;
  }

  commit(): void {
    this.#before.clear();
  }

  rollback(): void {
    for (const [key, value] of this.#before) this.write(key, value);
    this.#before.clear();
  }
}

const NO_READS: readonly ReadMark[] = [];

class Node implements Reader {
  reads: readonly ReadMark[] = NO_READS;
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
  readonly #slot = new ReaderSlot();
  readonly #stages: Stage[] = [];
  readonly #sources: { commit(): void; rollback(): void }[] = [];

  source<V>(name: string): Source<V> {
    const source = new Source<V>(name, this.#slot);
    this.#sources.push(source);
    return source;
  }

  /** One value (or none) for each value of `from`, under the same key. */
  map<I, O>(
    name: string,
    from: Collection<I>,
    fn: (input: I, key: string) => O | undefined,
  ): Collection<O> {
    const out = new Store<O>(name, this.#slot);
    const nodes = this.#stage(name, (key) => {
      const input = from.peek(key);
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
    const owned = new OwnedKeys();
    const nodes = this.#stage(name, (key) => {
      const input = from.peek(key);
      const results = new Map(input === undefined ? [] : fn(input, key));
      const before = owned.of(key);
      // Also those that are stored before one throws.
      owned.set(key, [...before, ...results.keys()]);
      for (const old of before) if (!results.has(old)) store(out, old, undefined);
      for (const [outKey, value] of results) store(out, outKey, value);
      owned.set(key, [...results.keys()]);
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
    const nodes = this.#stage(name, (bucket) => {
      const members = from.members(indexName, bucket);
      store(out, bucket, members.length === 0 ? undefined : fn(members, bucket));
      return members.length > 0;
    });
    from.onBucket(indexName, (bucket) => nodes.mark(bucket));
    return out;
  }

  /** All values of several collections, whose keys must not overlap. */
  merge<V>(name: string, parts: readonly Collection<V>[]): Collection<V> {
    const out = new Store<V>(name, this.#slot);
    const nodes = this.#stage(name, (key) => {
      let found: V | undefined;
      for (const part of parts) found ??= part.peek(key);
      store(out, key, found);
      return found !== undefined;
    });
    for (const part of parts) part.onKey((key) => nodes.mark(key));
    return out;
  }

  /** Recomputes what is dirty, once, in order. Answers what threw; everything else is done all the same. */
  run(): readonly DeriveFailure[] {
    const failures: DeriveFailure[] = [];
    for (const stage of this.#stages) stage.run(failures);
    return failures;
  }

  /** What was written to sources stays. */
  commit(): void {
    for (const source of this.#sources) source.commit();
  }

  /** Everything is as it was at the last `commit`. */
  rollback(): void {
    for (const source of this.#sources) source.rollback();
    this.run();
  }

  /** `compute` answers whether the key still has an input; without one the node is dropped. */
  #stage(collection: string, compute: (key: string) => boolean): { mark(key: string): void } {
    const nodes = new Map<string, Node>();
    const dirty = new Set<Node>();
    const slot = this.#slot;
    this.#stages.push({
      run(failures) {
        const batch = [...dirty];
        dirty.clear();
        for (const node of batch) {
          const { key } = node;
          slot.run(node, () => {
            try {
              return compute(key) ? 'stays' : 'gone';
            } catch (error) {
              failures.push({ collection, key, error });
              return 'stays';
            }
          });
          // Whoever has read nothing but its input is made anew when that changes.
          if (node.reads.length === 0) nodes.delete(key);
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

/** What each input of a collection has made; most make one thing. */
class OwnedKeys {
  readonly #keys = new Map<string, string | readonly string[]>();

  of(input: string): readonly string[] {
    const keys = this.#keys.get(input) ?? [];
    return typeof keys === 'string' ? [keys] : keys;
  }

  set(input: string, keys: readonly string[]): void {
    const [first] = keys;
    if (first === undefined) this.#keys.delete(input);
    else this.#keys.set(input, keys.length === 1 ? first : keys);
  }
}

function store<V>(out: Store<V>, key: string, value: V | undefined): void {
  if (!deepEqual(out.peek(key), value)) out.write(key, value);
}
