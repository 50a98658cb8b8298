/**
 * Sets of keys by name, in little memory: most names of an index (an address, an object) have one key, which then is kept by itself.
 */

const NO_KEYS: readonly string[] = [];

export class KeySets {
  readonly #sets = new Map<string, string | Set<string>>();

  has(name: string): boolean {
    return this.#sets.has(name);
  }

  /** Sorted. */
  sortedKeysOf(name: string): readonly string[] {
    const keys = this.#sets.get(name);
    if (keys === undefined) return NO_KEYS;
    return typeof keys === 'string' ? [keys] : [...keys].sort();
  }

  add(name: string, key: string): void {
    const keys = this.#sets.get(name);
    if (keys === undefined) this.#sets.set(name, key);
    else if (typeof keys !== 'string') keys.add(key);
    else if (keys !== key) this.#sets.set(name, new Set([keys, key]));
  }

  delete(name: string, key: string): void {
    const keys = this.#sets.get(name);
    if (keys === key) this.#sets.delete(name);
    if (typeof keys !== 'object' || !keys.delete(key)) return;
    const [first] = keys;
    if (keys.size === 1 && first !== undefined) this.#sets.set(name, first);
  }
}
