/**
 * One part of the controller that follows the store. What it could not take is kept by name and told again.
 *
 * The rule for whoever listens: what is in force under a name is looked up when the name is told, so that one may be told late, twice
 * and without the names that changed with it. Names that failed together are told together, and then in halves, until those
 * that cannot be followed are alone.
 */
import { Backoff, type Clock } from '@ambit/core';
import type { MeshDelta } from '@ambit/model';

import type { StoreEvent } from './mesh-store.ts';

/** The longest wait for another attempt. */
export const AGAIN_MS_MAX = 30_000;
const BACKOFF = { initialMs: 100, maxMs: AGAIN_MS_MAX, jitter: 0.2 };
/** Times that a listener is called in one attempt. */
const CALLS_MAX = 64;
/** As many as a mesh of 20,000 pods has. */
const OWED_MAX = 200_000;

type Output = keyof MeshDelta;

const OUTPUTS: readonly Output[] = [
  'addresses',
  'authorizations',
  'enrolments',
  'pods',
  'waypoints',
  'scopes',
  'objects',
  'statuses',
];

/** A name in an output, or the key of an object that a batch wrote or took away. */
interface Owed {
  readonly of: Output | 'causes';
  readonly name: string;
}

export interface ChangeFollowerOptions {
  readonly clock: Clock;
  readonly listener: (event: StoreEvent) => void;
  /** Whether an output has a name now. */
  readonly has: (of: Output, name: string) => boolean;
  /** Once for each event and each further attempt that fails. */
  readonly onFailed: (error: unknown) => void;
  readonly owedMax?: number;
}

export class ChangeFollower {
  readonly #options: ChangeFollowerOptions;
  /** Those first that have waited longest since they were tried alone. */
  readonly #owed = new Map<string, Owed>();
  readonly #stopping = new AbortController();
  #isTrying = false;
  #lost = 0;

  constructor(options: ChangeFollowerOptions) {
    this.#options = options;
  }

  /** Names of which the listener may not know what is in force. */
  get behind(): number {
    return this.#owed.size;
  }

  /** Names that were forgotten because too many waited. Only a restart catches up with them. */
  get lost(): number {
    return this.#lost;
  }

  /** Never throws. */
  take(event: StoreEvent): void {
    const error = this.#errorOf(event);
    if (error === undefined && this.#owed.size === 0) return;
    for (const owed of namesOf(event)) {
      if (error === undefined) this.#owed.delete(idOf(owed));
      else this.#owe(owed);
    }
    if (error === undefined) return;
    this.#options.onFailed(error.cause);
    if (!this.#isTrying && !this.#stopping.signal.aborted) void this.#tryAgain();
  }

  stop(): void {
    this.#stopping.abort();
  }

  #owe(owed: Owed): void {
    const id = idOf(owed);
    this.#owed.delete(id);
    this.#owed.set(id, owed);
    const { owedMax = OWED_MAX } = this.#options;
    const [oldest] = this.#owed.keys();
    if (this.#owed.size <= owedMax || oldest === undefined) return;
    this.#owed.delete(oldest);
    this.#lost += 1;
  }

  async #tryAgain(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(BACKOFF);
    this.#isTrying = true;
    while (this.#owed.size > 0) {
      await clock.sleep(backoff.next(), signal).catch(() => undefined);
      if (signal.aborted) return;
      const { size } = this.#owed;
      if (size > 0) this.#tryOwed();
      if (this.#owed.size < size) backoff.reset();
    }
    this.#isTrying = false;
  }

  #tryOwed(): void {
    let calls = 0;
    let failed: Failure | undefined;
    const give = (some: readonly Owed[]): void => {
      if (calls === CALLS_MAX) return;
      calls += 1;
      const error = this.#errorOf(this.#eventOf(some));
      failed ??= error;
      if (error === undefined) {
        for (const owed of some) this.#owed.delete(idOf(owed));
      } else if (some.length > 1) {
        give(some.slice(0, some.length >> 1));
        give(some.slice(some.length >> 1));
      } else {
        for (const owed of some) this.#owe(owed);
      }
    };
    give([...this.#owed.values()]);
    if (failed !== undefined) this.#options.onFailed(failed.cause);
  }

  #errorOf(event: StoreEvent): Failure | undefined {
    try {
      this.#options.listener(event);
      return undefined;
    } catch (cause) {
      return { cause };
    }
  }

  /** As it is now: what was taken away may be there again. */
  #eventOf(some: readonly Owed[]): StoreEvent {
    const { has } = this.#options;
    const namesIn = (of: Owed['of']): readonly string[] =>
      some.filter((owed) => owed.of === of).map(({ name }) => name);
    const change = (of: Output): MeshDelta['addresses'] => {
      const names = namesIn(of);
      return {
        changed: new Set(names.filter((name) => has(of, name))),
        removed: new Set(names.filter((name) => !has(of, name))),
      };
    };
    return {
      causes: new Set(namesIn('causes')),
      delta: Object.fromEntries(OUTPUTS.map((of) => [of, change(of)])) as unknown as MeshDelta,
    };
  }
}

interface Failure {
  readonly cause: unknown;
}

function idOf({ of, name }: Owed): string {
  return `${of} ${name}`;
}

function* namesOf({ delta, causes }: StoreEvent): Generator<Owed> {
  for (const name of causes) yield { of: 'causes', name };
  for (const of of OUTPUTS) {
    for (const name of delta[of].changed) yield { of, name };
    for (const name of delta[of].removed) yield { of, name };
  }
}
