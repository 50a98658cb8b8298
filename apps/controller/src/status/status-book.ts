/**
 * Statuses of all objects: what the model says, with `Enforced` added, kept in the state folder.
 *
 * Proxies answer in bursts, so evaluation is gathered; it never delays a push. Whoever asks meanwhile has it
 * evaluated at once: an answer is never about what was in force before a change.
 */
import type { ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';
import type { MeshOutputs, ObjectStatus } from '@ambit/model';

import type { Enforcement } from './enforcement.ts';
import type { Kept } from './state-file.ts';

const GATHER_MS = 20;
/** Of the time that evaluations take at most: a mesh that takes long is evaluated less often. */
const SHARE_MAX = 0.1;
/** However long it takes: people wait for a status. */
const GATHER_MS_MAX = 1_000;

export interface StatusBookOptions {
  readonly clock: Clock;
  /** Those of the turn in which it is asked. */
  readonly outputs: () => MeshOutputs;
  readonly enforcement: Pick<Enforcement, 'conditions' | 'evaluate'>;
  readonly file: Kept<readonly ObjectStatus[]>;
}

export class StatusBook {
  readonly #options: StatusBookOptions;
  #isDirty = false;
  #isScheduled = false;
  #isStopped = false;
  #gatherMs = GATHER_MS;
  readonly #listeners = new Set<(keys: ReadonlySet<ObjectKey>) => void>();
  /** What listeners have not been told of yet. */
  #changed = new Set<ObjectKey>();

  constructor(options: StatusBookOptions) {
    this.#options = options;
  }

  of(key: ObjectKey): ObjectStatus | undefined {
    this.#settle();
    const status = this.#options.outputs().statuses.get(key);
    return status === undefined ? undefined : this.#withEnforced(status);
  }

  all(): readonly ObjectStatus[] {
    this.#settle();
    return [...this.#options.outputs().statuses.values()].map((status) =>
      this.#withEnforced(status),
    );
  }

  /** Objects with an error finding. */
  get refused(): number {
    let count = 0;
    for (const { conditions } of this.#options.outputs().statuses.values()) {
      if (conditions.some(({ type, reason }) => type === 'Accepted' && reason === 'Invalid'))
        count += 1;
    }
    return count;
  }

  /** Keys whose status is another than before, or is gone; gathered. Answers how to end it. */
  onChange(listener: (keys: ReadonlySet<ObjectKey>) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Something that statuses depend on has changed. `keys`: of the statuses that the model has changed or taken away. */
  touch(keys: Iterable<ObjectKey> = []): void {
    this.#isDirty = true;
    for (const key of keys) this.#changed.add(key);
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    void this.#options.clock.sleep(this.#gatherMs).then(() => {
      this.#isScheduled = false;
      if (!this.#isStopped) this.#write();
    });
  }

  /** Evaluates for the last time and waits for the file. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#options.file.flush();
  }

  #settle(): void {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    for (const key of this.#options.enforcement.evaluate()) this.#changed.add(key);
  }

  #write(): void {
    const { clock } = this.#options;
    const begunMs = clock.now();
    this.#tell();
    const wantedMs = (clock.now() - begunMs) / SHARE_MAX;
    this.#gatherMs = Math.min(Math.max(wantedMs, GATHER_MS), GATHER_MS_MAX);
  }

  #tell(): void {
    this.#settle();
    this.#options.file.write(() => [...this.all()].sort((a, b) => (a.key < b.key ? -1 : 1)));
    const keys = this.#changed;
    if (keys.size === 0) return;
    this.#changed = new Set();
    for (const listener of this.#listeners) listener(keys);
  }

  #withEnforced(status: ObjectStatus): ObjectStatus {
    const enforced = this.#options.enforcement.conditions.get(status.key);
    if (enforced === undefined) return status;
    return { ...status, conditions: [...status.conditions, enforced] };
  }
}
