/**
 * The last accepted version of every object, across restarts: a controller that starts while a file is
 * broken must not open what was closed.
 *
 * Kept as people write them and parsed again, so that another version of this program reads them by its
 * own rules.
 */
import { type MeshObject, type ObjectKey, parseObject, serializeObject } from '@ambit/api';
import { keyOf } from '@ambit/model';

import { isKept } from '../../source/is-kept.ts';
import type { StateFile } from '../../status/state-file.ts';

/** Path of the file, and the object in it. */
export type KeptObject = readonly [string, Readonly<Record<string, unknown>>];

export class LastGood {
  readonly #file: StateFile<readonly KeptObject[]>;
  readonly #accepted = new Map<ObjectKey, { readonly path: string; readonly object: MeshObject }>();
  /** Also of objects that cannot be used now. */
  readonly #paths = new Map<ObjectKey, string>();
  /** Of the process before this one; emptied as objects are seen again. */
  readonly #earlier = new Map<ObjectKey, { readonly path: string; readonly object: MeshObject }>();
  readonly #replaced = new Map<ObjectKey, MeshObject>();

  constructor(file: StateFile<readonly KeptObject[]>) {
    this.#file = file;
  }

  async restore(): Promise<void> {
    const json = await this.#file.read();
    for (const item of Array.isArray(json) ? (json as readonly unknown[]) : []) {
      const [path, written] = Array.isArray(item) ? (item as readonly unknown[]) : [];
      const { object } = parseObject(written);
      if (typeof path === 'string' && object !== undefined) {
        this.#earlier.set(keyOf(object), { path, object });
      }
    }
  }

  /** All that the process before this one had accepted and nobody has seen since. */
  get earlier(): readonly MeshObject[] {
    return [...this.#earlier.values()].map(({ object }) => object);
  }

  /** Objects that a file had when it could be read last. */
  ofFile(path: string): readonly MeshObject[] {
    return [...this.#earlier.values()]
      .filter((kept) => kept.path === path)
      .map(({ object }) => object);
  }

  /** The version to fall back to, if none was accepted since the start. */
  of(key: ObjectKey): MeshObject | undefined {
    return this.#accepted.has(key) ? undefined : this.#earlier.get(key)?.object;
  }

  /** What `accept` replaced of the process before this one, until `save`. */
  before(key: ObjectKey): MeshObject | undefined {
    return this.#replaced.get(key);
  }

  /** What was accepted is not in force; this is, if anything. */
  replace(key: ObjectKey, object: MeshObject | undefined): void {
    const path = this.#paths.get(key);
    if (path === undefined) return;
    if (object === undefined) this.#accepted.delete(key);
    else this.#accepted.set(key, { path, object });
  }

  /** The version that was accepted since the start. */
  accepted(key: ObjectKey): MeshObject | undefined {
    return this.#accepted.get(key)?.object;
  }

  accept(path: string, object: MeshObject): void {
    const key = keyOf(object);
    const earlier = this.#earlier.get(key);
    if (earlier !== undefined) this.#replaced.set(key, earlier.object);
    this.#earlier.delete(key);
    if (!isKept(object)) return;
    this.#accepted.set(key, { path, object });
    this.#paths.set(key, path);
  }

  forget(key: ObjectKey): void {
    this.#earlier.delete(key);
    this.#accepted.delete(key);
    this.#paths.delete(key);
  }

  /** After the first load nothing is left that could be asked for. */
  finishLoading(): void {
    this.#earlier.clear();
  }

  save(): void {
    this.#replaced.clear();
    this.#file.write(() =>
      [...this.#accepted]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, { path, object }]): KeptObject => [path, serializeObject(object)]),
    );
  }

  async flush(): Promise<void> {
    await this.#file.flush();
  }
}
