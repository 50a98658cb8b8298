/**
 * One copy of what many objects repeat. Replicas of a Deployment differ in name, uid, address and node; their labels, owner and
 * containers are the same values, kept once.
 */
import type { MeshObject } from '@ambit/api';
import { TextPool } from '@ambit/kube';

import { KeptPod } from './kept-pod.ts';

const VALUES_MAX = 50_000;

export class SharedValues {
  readonly #pool: TextPool;
  readonly #max: number;

  constructor({ max = VALUES_MAX }: { readonly max?: number } = {}) {
    this.#pool = new TextPool({ textsMax: max });
    this.#max = max;
  }

  /** The same object with less memory of its own. */
  share(object: MeshObject): MeshObject {
    // Labels of pods that are long gone would stay forever; what was handed out stays valid.
    if (this.#pool.size >= this.#max) this.#pool.clear();
    if (object.kind === 'Pod') return new KeptPod(object, this.#pool);
    const { metadata } = object;
    const { labels, annotations } = metadata;
    const namespace = this.#pool.text(metadata.namespace);
    return {
      ...object,
      apiVersion: this.#pool.text(object.apiVersion),
      metadata: {
        ...metadata,
        namespace,
        labels: this.#pool.record(labels),
        annotations: Object.keys(annotations).length === 0 ? this.#pool.record({}) : annotations,
      },
    };
  }
}
