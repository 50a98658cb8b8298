/**
 * Many events of one moment as one change, because each change derives, compares and pushes.
 *
 * The last word on a key counts. Nothing is handed out before `release`: half a cluster is another cluster.
 */
import type { Finding, MeshObject, ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';

import type { RefusedVersion, SourceChange } from '../../source/config-source.ts';

const GATHER_MS = 10;
/** Keys of one change, once the first was handed out. */
export const KEYS_MAX = 500;

interface Word {
  readonly isRemoved: boolean;
  readonly object?: MeshObject;
  readonly notes?: readonly Finding[];
  readonly refused?: Omit<RefusedVersion, 'key'>;
  readonly unsupported?: string;
}

export interface ChangeGathererOptions {
  readonly clock: Clock;
  /** An object that `onChange` does not take, also alone. Not of the first change: that one throws. */
  readonly onFailure: (key: ObjectKey, error: unknown) => void;
  readonly onChange: (change: SourceChange) => void;
  readonly signal: AbortSignal;
}

export class ChangeGatherer {
  readonly #options: ChangeGathererOptions;
  #words = new Map<ObjectKey, Word>();
  #isHeld = true;
  #isWaiting = false;

  constructor(options: ChangeGathererOptions) {
    this.#options = options;
  }

  accepted(key: ObjectKey, object: MeshObject, notes: readonly Finding[]): void {
    this.#say(key, { isRemoved: this.#words.get(key)?.isRemoved === true, object, notes });
  }

  /** `inForce`: to be put in force with it; absent, what is in force stays. */
  refused(
    key: ObjectKey,
    findings: readonly Finding[],
    inForce?: MeshObject,
    { revision }: Pick<RefusedVersion, 'revision'> = {},
  ): void {
    const { object: earlier, ...word } = this.#words.get(key) ?? { isRemoved: false };
    const object = inForce ?? earlier;
    const refused = { findings, ...(revision === undefined ? {} : { revision }) };
    this.#say(key, { ...word, ...(object === undefined ? {} : { object }), refused });
  }

  unsupported(key: ObjectKey, message: string): void {
    const isRemoved = this.#words.get(key)?.isRemoved === true;
    this.#say(key, { isRemoved, unsupported: message });
  }

  removed(key: ObjectKey): void {
    this.#say(key, { isRemoved: true });
  }

  /** Hands out all there is, at once and even if that is nothing; from now on what comes is handed out by itself. */
  release(): void {
    this.#isHeld = false;
    if (this.#options.signal.aborted) return;
    this.#options.onChange(changeOf(this.#take()));
  }

  #say(key: ObjectKey, word: Word): void {
    // Behind all others: the order is that of the last words.
    this.#words.delete(key);
    this.#words.set(key, word);
    if (this.#isHeld) return;
    if (this.#words.size >= KEYS_MAX) this.#flush();
    else this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const { clock, signal } = this.#options;
    clock.sleep(GATHER_MS, signal).then(
      () => {
        this.#isWaiting = false;
        if (this.#words.size > 0) this.#flush();
      },
      () => undefined, // stopped: nobody listens any more
    );
  }

  #flush(): void {
    const { onChange, onFailure, signal } = this.#options;
    if (signal.aborted) return;
    const words = this.#take();
    const give = (some: ReadonlyMap<ObjectKey, Word>): void => {
      try {
        onChange(changeOf(some));
      } catch (error) {
        const [[key] = ['']] = some;
        // One of many holds up the others: each by itself, and the one that is wrong is named.
        if (some.size === 1) onFailure(key, error);
        else for (const word of some) give(new Map([word]));
      }
    };
    give(words);
  }

  #take(): ReadonlyMap<ObjectKey, Word> {
    const words = this.#words;
    this.#words = new Map();
    return words;
  }
}

function changeOf(words: ReadonlyMap<ObjectKey, Word>): SourceChange {
  const all = [...words];
  return {
    removes: all.flatMap(([key, { isRemoved }]) => (isRemoved ? [key] : [])),
    upserts: all.flatMap(([, { object }]) => object ?? []),
    invalid: all.flatMap(([key, { refused }]) =>
      refused === undefined ? [] : [{ key, ...refused }],
    ),
    notes: all.flatMap(([key, { notes }]) =>
      notes === undefined ? [] : [{ key, findings: notes }],
    ),
    unsupported: all.flatMap(([key, { unsupported }]) =>
      unsupported === undefined ? [] : [{ key, message: unsupported }],
    ),
  };
}
