/**
 * One copy of what many objects repeat. Replicas of a Deployment differ in name, uid and address; their labels,
 * owner and spec are the same values, kept once.
 */
import type { MeshObject, Pod } from '@ambit/api';
import { TextPool } from '@ambit/kube';

const VALUES_MAX = 50_000;

export class SharedValues {
  readonly #texts = new TextPool({ textsMax: VALUES_MAX });
  readonly #values = new Map<string, unknown>();
  readonly #max: number;

  constructor({ max = VALUES_MAX }: { readonly max?: number } = {}) {
    this.#max = max;
  }

  /** The same object with less memory of its own. */
  share(object: MeshObject): MeshObject {
    this.#forgetWhenFull();
    if (object.kind === 'Pod') return this.#pod(object);
    const { metadata } = object;
    const { labels, annotations } = metadata;
    const namespace = this.#texts.text(metadata.namespace);
    return {
      ...object,
      apiVersion: this.#texts.text(object.apiVersion),
      metadata: {
        ...metadata,
        namespace,
        labels: this.#texts.record(labels),
        annotations: Object.keys(annotations).length === 0 ? this.#texts.record({}) : annotations,
      },
    };
  }

  #pod({ kind, metadata, spec, status }: Pod): Pod {
    const { name, namespace, uid, generation, creationTimestampMs, ownerReferences } = metadata;
    const { phase, podIPs, ready, terminating } = status;
    return {
      kind,
      apiVersion: 'v1',
      metadata: {
        name,
        namespace: this.#texts.text(namespace),
        ...(uid === undefined ? {} : { uid }),
        generation,
        creationTimestampMs,
        labels: this.#texts.record(metadata.labels),
        annotations: this.#texts.record(metadata.annotations),
        ...(ownerReferences === undefined ? {} : { ownerReferences: this.#value(ownerReferences) }),
      },
      spec: this.#value(spec),
      status: { phase: phase, podIPs, ready, terminating },
    };
  }

  #value<T>(value: T): T {
    const id = JSON.stringify(value);
    const known = this.#values.get(id);
    if (known !== undefined) return known as T;
    this.#values.set(id, value);
    return value;
  }

  /** Labels of pods that are long gone would stay forever; what was handed out stays valid. */
  #forgetWhenFull(): void {
    if (this.#texts.size >= this.#max) this.#texts.clear();
    if (this.#values.size >= this.#max) this.#values.clear();
  }
}
