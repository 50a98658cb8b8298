/**
 * Everything the controller knows: the objects as they came, and the model that is derived from them.
 *
 * One change goes through as one batch, and whoever listens is told in the same turn, so that nobody
 * sees half of it.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import { keyOf, type MeshBatch, type MeshDelta, MeshModel, type ModelOptions } from '@ambit/model';

export interface StoreEvent {
  readonly delta: MeshDelta;
  /** Keys of the objects that the batch wrote or took away. */
  readonly causes: ReadonlySet<ObjectKey>;
}

export class MeshStore {
  readonly model: MeshModel;
  readonly options: ModelOptions;
  readonly #objects = new Map<ObjectKey, MeshObject>();
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  #inspect: (delta: MeshDelta) => void = () => undefined;
  #changedAtMs: number;
  readonly #wallNow: () => number;
  readonly #onListenerFailed: (error: unknown) => void;

  constructor(
    options: ModelOptions,
    context: {
      readonly pending: Iterable<string>;
      readonly wallNow: () => number;
      /** A fault of this program: what that listener keeps may be behind. Default: thrown where nobody catches it. */
      readonly onListenerFailed?: (error: unknown) => void;
    },
  ) {
    this.options = options;
    this.model = new MeshModel(options, context.pending);
    this.#wallNow = context.wallNow;
    this.#onListenerFailed = context.onListenerFailed ?? throwLater;
    this.#changedAtMs = context.wallNow();
  }

  /** Accepted objects, of every kind. */
  get objects(): ReadonlyMap<ObjectKey, MeshObject> {
    return this.#objects;
  }

  /** When an object last changed. */
  get changedAtMs(): number {
    return this.#changedAtMs;
  }

  /** All are told, in this order, whichever of them throws: the batch is in force by then. */
  onChange(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called with what a batch would change, while the model has it and nobody else: what throws there is not taken. */
  inspectWith(inspect: (delta: MeshDelta) => void): void {
    this.#inspect = inspect;
  }

  /** Throws what the model or `inspectWith` throws, and has taken nothing then. */
  apply(batch: MeshBatch): void {
    const delta = this.model.apply(batch, this.#inspect);
    const causes = new Set<ObjectKey>(batch.removes);
    for (const key of batch.removes ?? []) this.#objects.delete(key);
    for (const object of batch.upserts ?? []) {
      const key = keyOf(object);
      this.#objects.set(key, object);
      causes.add(key);
    }
    if (causes.size > 0 || (batch.invalid ?? []).length > 0) this.#changedAtMs = this.#wallNow();
    for (const listener of this.#listeners) {
      try {
        listener({ delta, causes });
      } catch (error) {
        this.#onListenerFailed(error);
      }
    }
  }
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
