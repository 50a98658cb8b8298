/**
 * Statuses of all objects: what the model says, with `Enforced` added, kept in the state folder.
 *
 * Proxies answer in bursts, so evaluation is gathered; it never delays a push. Whoever asks meanwhile has it
 * evaluated at once: an answer is never about what was in force before a change.
 */
import type { ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';
import { type Condition, deepEqual, type MeshOutputs, type ObjectStatus } from '@ambit/model';

import type { Enforcement } from './enforcement.ts';
import type { Kept } from './state-file.ts';

const GATHER_MS = 20;
/** Of the time that evaluations take at most: a mesh that takes long is evaluated less often. */
const SHARE_MAX = 0.1;
/** However long it takes: people wait for a status. */
const GATHER_MS_MAX = 1_000;

export interface StatusBookOptions {
  readonly clock: Clock;
  readonly outputs: () => MeshOutputs;
  readonly enforcement: Enforcement;
  readonly file: Kept<readonly ObjectStatus[]>;
}

export class StatusBook {
  readonly #options: StatusBookOptions;
  #enforced: ReadonlyMap<ObjectKey, Condition> = new Map();
  #isDirty = false;
  #isScheduled = false;
  #isStopped = false;
  #gatherMs = GATHER_MS;
  readonly #listeners = new Set<(keys: ReadonlySet<ObjectKey>) => void>();
  /** What listeners know of. */
  #told: {
    readonly statuses: ReadonlyMap<ObjectKey, ObjectStatus>;
    readonly enforced: ReadonlyMap<ObjectKey, Condition>;
  } = { statuses: new Map(), enforced: new Map() };

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

  /** Something that statuses depend on has changed. */
  touch(): void {
    this.#isDirty = true;
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
    const now = this.#options.enforcement.evaluate();
    if (!deepEqual(now, this.#enforced)) this.#enforced = now;
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
    const keys = this.#takeChanged();
    if (keys.size === 0) return;
    for (const listener of this.#listeners) listener(keys);
  }

  /** The model replaces a status that changes and never alters one. */
  #takeChanged(): ReadonlySet<ObjectKey> {
    const before = this.#told;
    const { statuses } = this.#options.outputs();
    const enforced = this.#enforced;
    const keys = new Set<ObjectKey>();
    for (const [key, status] of statuses) {
      const isSame =
        before.statuses.get(key) === status &&
        deepEqual(before.enforced.get(key), enforced.get(key));
      if (!isSame) keys.add(key);
    }
    for (const key of before.statuses.keys()) if (!statuses.has(key)) keys.add(key);
    this.#told = { statuses, enforced };
    return keys;
  }

  #withEnforced(status: ObjectStatus): ObjectStatus {
    const enforced = this.#enforced.get(status.key);
    if (enforced === undefined) return status;
    return { ...status, conditions: [...status.conditions, enforced] };
  }
}
