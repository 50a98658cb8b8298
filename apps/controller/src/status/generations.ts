/**
 * `metadata.generation` for sources that have none: counts changes of an object's content, across
 * restarts, so that a condition says which version it is about and a restart resends nothing.
 */
import { createHash } from 'node:crypto';

import type { MeshObject, ObjectKey } from '@ambit/api';
import { keyOf } from '@ambit/model';

interface Entry {
  readonly hash: string;
  readonly generation: number;
}

/** Their content changes by itself all the time, and nobody waits for a generation of them. */
const UNCOUNTED: ReadonlySet<MeshObject['kind']> = new Set(['Pod', 'Node']);

export class Generations {
  readonly #entries = new Map<ObjectKey, Entry>();

  /** From a state file; what does not look like one is left out. */
  restore(json: unknown): void {
    if (typeof json !== 'object' || json === null) return;
    for (const [key, value] of Object.entries(json)) {
      if (!Array.isArray(value)) continue;
      const [hash, generation] = value as readonly unknown[];
      if (typeof hash === 'string' && typeof generation === 'number') {
        this.#entries.set(key, { hash, generation });
      }
    }
  }

  save(): Readonly<Record<string, readonly [string, number]>> {
    const sorted = [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(
      sorted.map(([key, { hash, generation }]) => [key, [hash, generation]]),
    );
  }

  /** The object with its generation; one that its source gave stays. */
  stamp(object: MeshObject): MeshObject {
    if (object.metadata.generation > 0 || UNCOUNTED.has(object.kind)) return object;
    const key = keyOf(object);
    const hash = contentHash(object);
    const before = this.#entries.get(key);
    const generation =
      before === undefined ? 1 : before.hash === hash ? before.generation : before.generation + 1;
    if (before?.hash !== hash) this.#entries.set(key, { hash, generation });
    return { ...object, metadata: { ...object.metadata, generation } } as MeshObject;
  }

  forget(key: ObjectKey): void {
    this.#entries.delete(key);
  }
}

function contentHash(object: MeshObject): string {
  const { metadata: _metadata, ...content } = object;
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
}
