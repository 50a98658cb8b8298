/**
 * What is known of pods and namespaces from elsewhere than objects: which pods agents hold, and whose bypass is over.
 *
 * Whoever reports has noted it already and does not say it twice. So nothing of it is lost: what the model cannot take waits, is said
 * loudly and is tried again, and the rest is taken. Nothing here throws.
 *
 * The model is a function of what it was given: what it could not take it can take when something else has changed, and is tried
 * then, at most once a second.
 */
import { Backoff, type Clock } from '@ambit/core';
import type { MeshBatch } from '@ambit/model';
import type { Logger } from '@ambit/telemetry';

import type { BypassChange } from './bypasses.ts';
import type { CaptureChange } from './captures.ts';
import type { MeshStore } from './mesh-store.ts';

export interface Report {
  readonly captured?: CaptureChange;
  readonly bypassed?: BypassChange;
}

type Word = 'captured' | 'presumed' | 'released' | 'awaited' | 'bypassed' | 'over';

interface Entry {
  readonly name: string;
  readonly word: Word;
}

/** The longest wait for another attempt. */
export const AGAIN_MS_MAX = 30_000;
/** The shortest. */
const AGAIN_MS_MIN = 1_000;
const BACKOFF = { initialMs: AGAIN_MS_MIN, maxMs: AGAIN_MS_MAX, jitter: 0.2 };

export interface ReportsOptions {
  readonly store: Pick<MeshStore, 'apply'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Reports {
  readonly #options: ReportsOptions;
  /** By subject; as many as there are pods and namespaces. */
  readonly #waiting = new Map<string, Entry>();
  readonly #stopping = new AbortController();
  #isTrying = false;
  #failures = 0;
  /** Since the last attempt. */
  #hasChanged = false;
  /** Of the wait for a change. */
  #waitingForChange = new AbortController();

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  /** Pods and namespaces of which the last word is not in the model. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Attempts at one of them that failed. */
  get failures(): number {
    return this.#failures;
  }

  take(report: Report): void {
    const entries = entriesOf(report);
    for (const entry of entries) this.#waiting.delete(subjectOf(entry));
    this.#try(entries);
    if (this.#waiting.size > 0 && !this.#isTrying) void this.#tryAgain();
  }

  /** The model has changed. */
  noteChange(): void {
    this.#hasChanged = true;
    this.#waitingForChange.abort();
  }

  /** What waits is known to the next process anew. */
  stop(): void {
    this.#stopping.abort();
  }

  #try(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    try {
      this.#options.store.apply(batchOf(entries));
    } catch (error) {
      const [entry] = entries;
      if (entries.length === 1 && entry !== undefined) {
        this.#failures += 1;
        this.#waiting.set(subjectOf(entry), entry);
        const { name: subject, word } = entry;
        const message = 'a report cannot be taken, and is tried again';
        this.#options.log.error(message, { subject, word, error });
        return;
      }
      const half = entries.length >> 1;
      this.#try(entries.slice(0, half));
      this.#try(entries.slice(half));
    }
  }

  async #tryAgain(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(BACKOFF);
    this.#isTrying = true;
    while (this.#waiting.size > 0) {
      this.#hasChanged = false;
      const waitMs = backoff.next();
      await clock.sleep(Math.min(waitMs, AGAIN_MS_MIN), signal).catch(() => undefined);
      if (!this.#hasChanged && waitMs > AGAIN_MS_MIN && !signal.aborted) {
        this.#waitingForChange = new AbortController();
        const ended = AbortSignal.any([signal, this.#waitingForChange.signal]);
        await clock.sleep(waitMs - AGAIN_MS_MIN, ended).catch(() => undefined);
      }
      if (signal.aborted) return;
      const entries = [...this.#waiting.values()];
      this.#waiting.clear();
      this.#try(entries);
    }
    this.#isTrying = false;
  }
}

/** That a pod waits for its agent is said beside whether it is held. */
function subjectOf({ name, word }: Entry): string {
  if (word === 'awaited') return `awaited ${name}`;
  return word === 'bypassed' || word === 'over' ? `Namespace ${name}` : name;
}

function entriesOf({ captured, bypassed }: Report): readonly Entry[] {
  const presumed = new Set(captured?.presumed);
  const entries = (names: readonly string[] | undefined, word: Word): readonly Entry[] =>
    (names ?? []).map((name) => ({ name, word }));
  return [
    ...entries(bypassed?.remove, 'over'),
    ...entries(bypassed?.add, 'bypassed'),
    ...entries(captured?.remove, 'released'),
    ...(captured?.add ?? []).map((name): Entry => {
      return { name, word: presumed.has(name) ? 'presumed' : 'captured' };
    }),
    ...entries(captured?.awaited, 'awaited'),
  ];
}

function batchOf(entries: readonly Entry[]): MeshBatch {
  const namesOf = (...words: readonly Word[]): readonly string[] =>
    entries.filter(({ word }) => words.includes(word)).map(({ name }) => name);
  const bypassed = { add: namesOf('bypassed'), remove: namesOf('over') };
  const presumed = namesOf('presumed');
  const add = namesOf('captured', 'presumed');
  const captured = { add, remove: namesOf('released'), presumed, awaited: namesOf('awaited') };
  const isBypassed = bypassed.add.length + bypassed.remove.length > 0;
  const isCaptured = add.length + captured.remove.length + captured.awaited.length > 0;
  return { ...(isBypassed ? { bypassed } : {}), ...(isCaptured ? { captured } : {}) };
}
