/**
 * Everything the controller knows: the objects as they came, and the model that is derived from them.
 *
 * One change goes through as one batch, and whoever listens is told in the same turn, so that nobody
 * sees half of it. Who could not follow a change is told of it again (`ChangeFollower`).
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';
import { keyOf, type MeshBatch, type MeshDelta, MeshModel, type ModelOptions } from '@ambit/model';

import { ChangeFollower } from './change-follower.ts';

export interface StoreEvent {
  readonly delta: MeshDelta;
  /** Keys of the objects that the batch wrote or took away. */
  readonly causes: ReadonlySet<ObjectKey>;
}

export class MeshStore {
  readonly model: MeshModel;
  readonly options: ModelOptions;
  readonly #objects = new Map<ObjectKey, MeshObject>();
  readonly #followers = new Set<ChangeFollower>();
  #inspect: (delta: MeshDelta) => void = () => undefined;
  #changedAtMs: number;
  readonly #clock: Clock;
  readonly #onListenerFailed: (error: unknown) => void;

  constructor(
    options: ModelOptions,
    context: {
      readonly pending: Iterable<string>;
      readonly clock: Clock;
      /** A fault of this program: what that listener keeps is behind until it takes the change. Default: thrown where nobody catches it. */
      readonly onListenerFailed?: (error: unknown) => void;
    },
  ) {
    this.options = options;
    this.model = new MeshModel(options, context.pending);
    this.#clock = context.clock;
    this.#onListenerFailed = context.onListenerFailed ?? throwLater;
    this.#changedAtMs = context.clock.wallNow();
  }

  /** Accepted objects, of every kind. */
  get objects(): ReadonlyMap<ObjectKey, MeshObject> {
    return this.#objects;
  }

  /** When an object last changed. */
  get changedAtMs(): number {
    return this.#changedAtMs;
  }

  /**
   * All are told, in this order, whichever of them throws: the batch is in force by then. One that throws is told again, with what it
   * has missed or a part of that, and has to look up what is in force.
   */
  onChange(listener: (event: StoreEvent) => void): () => void {
    const follower = new ChangeFollower({
      clock: this.#clock,
      listener,
      has: (output, name) => this.model.live[output].has(name),
      onFailed: this.#onListenerFailed,
    });
    this.#followers.add(follower);
    return () => {
      follower.stop();
      this.#followers.delete(follower);
    };
  }

  /** Names that a listener has not taken, and those that it never will because there were too many. */
  get behind(): { readonly waiting: number; readonly lost: number } {
    const all = [...this.#followers];
    return {
      waiting: all.reduce((sum, { behind }) => sum + behind, 0),
      lost: all.reduce((sum, { lost }) => sum + lost, 0),
    };
  }

  /** Nobody is told again. */
  stop(): void {
    for (const follower of this.#followers) follower.stop();
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
    if (causes.size > 0 || (batch.invalid ?? []).length > 0)
      this.#changedAtMs = this.#clock.wallNow();
    for (const follower of this.#followers) follower.take({ delta, causes });
  }
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
