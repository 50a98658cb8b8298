/** Doubles for a controller's resources. Imported by tests only, as `@ambit/xds/testing`. */
import type { Resource, ResourceChange, ResourceSource } from './resource.ts';

/** A resource source that a test writes to; every node sees all of it. */
export class MapSource implements ResourceSource {
  readonly #types = new Map<string, ReadonlyMap<string, Resource>>();
  readonly #listeners = new Set<(change: ResourceChange) => void>();

  resources(typeUrl: string): ReadonlyMap<string, Resource> {
    return this.#types.get(typeUrl) ?? new Map();
  }

  onChange(listener: (change: ResourceChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sets and removes, and tells all types of the batch in one turn. */
  apply(
    changes: readonly {
      readonly typeUrl: string;
      readonly set?: readonly Resource[];
      readonly remove?: readonly string[];
    }[],
  ): void {
    for (const { typeUrl, set = [], remove = [] } of changes) {
      const next = new Map(this.resources(typeUrl));
      for (const resource of set) {
        next.set(resource.name, resource);
      }
      for (const name of remove) {
        next.delete(name);
      }
      this.#types.set(typeUrl, next);
    }
    for (const { typeUrl, set = [], remove = [] } of changes) {
      const names = new Set([...set.map(({ name }) => name), ...remove]);
      for (const listener of this.#listeners) {
        listener({ typeUrl, names });
      }
    }
  }
}

/** A resource of opaque content. */
export function opaque(name: string, version: string, extra: Partial<Resource> = {}): Resource {
  return {
    name,
    version,
    value: Buffer.from(`${name}@${version}`),
    aliases: [],
    rank: 0,
    ...extra,
  };
}
