/**
 * Follows the file of revocation lists (`CRL_PATH`).
 *
 * Rule: what is known to be revoked stays so. A file that turns bad or vanishes leaves the lists in use that were good; where none ever
 * were, a bad file means that nobody's status is known. Only an empty file takes lists away, and one that was never there has none.
 */
import type { Clock } from '@ambit/core';

import { reasonOf } from './errors.ts';
import { type CrlSummary, RevocationLists, type RevocationState } from './revocation-lists.ts';

/** Mounted files change by symlink, which watches miss. */
const READ_MS = 5_000;

export interface CrlWatchOptions {
  readonly clock: Clock;
  /** Undefined: there is no such file. */
  readonly read: () => Promise<Uint8Array | undefined>;
  /** Also with the first state, before `start` resolves. */
  readonly onChange: (state: RevocationState) => void;
  /** Once per reason, until the file is good again. */
  readonly onProblem: (reason: string, options: { readonly isInUse: boolean }) => void;
}

export interface CrlStatus {
  readonly summaries: readonly CrlSummary[];
  /** Why the file is not what is in use. */
  readonly problem: string | undefined;
}

export class CrlWatch {
  readonly #options: CrlWatchOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #state: RevocationState | undefined;
  #lists: RevocationLists | undefined;
  #text: Buffer | undefined;
  #problem: string | undefined;

  constructor(options: CrlWatchOptions) {
    this.#options = options;
  }

  /** What is in use now; nobody's status is known before `start` has resolved. */
  get state(): RevocationState {
    return this.#state ?? { kind: 'unusable', reason: 'the revocation lists are not read yet' };
  }

  get status(): CrlStatus {
    return { summaries: this.#lists?.summaries ?? [], problem: this.#problem };
  }

  /** Resolves when the file was looked at once. */
  async start(): Promise<void> {
    if (this.#running === undefined) {
      const first = this.#look();
      this.#running = first.then(async () => await this.#run());
      await first;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#options.clock.sleep(READ_MS, signal).catch(() => {
        // Stopped: the loop ends.
      });
      if (!signal.aborted) {
        await this.#look();
      }
    }
  }

  async #look(): Promise<void> {
    try {
      const file = await this.#options.read();
      if (file === undefined) {
        this.#missing();
        return;
      }
      const text = Buffer.from(file);
      if (this.#text?.equals(text)) {
        this.#problem = undefined;
        return;
      }
      const lists = RevocationLists.parse(text);
      this.#text = text;
      this.#lists = lists;
      this.#problem = undefined;
      this.#use(lists === undefined ? { kind: 'none' } : { kind: 'lists', file: text });
    } catch (error) {
      this.#bad(reasonOf(error));
    }
  }

  #missing(): void {
    if (this.#state === undefined) {
      this.#use({ kind: 'none' });
    } else if (this.#state.kind !== 'none') {
      const isInUse = this.#lists !== undefined;
      this.#tell('the file of revocation lists is gone', { isInUse });
    }
  }

  #bad(reason: string): void {
    const isInUse = this.#lists !== undefined;
    this.#tell(reason, { isInUse });
    if (!isInUse && this.#state?.kind !== 'unusable') {
      // What is read next counts, also if it is what was there before.
      this.#text = undefined;
      this.#use({ kind: 'unusable', reason });
    }
  }

  #tell(reason: string, options: { readonly isInUse: boolean }): void {
    if (reason !== this.#problem) {
      this.#problem = reason;
      this.#options.onProblem(reason, options);
    }
  }

  #use(state: RevocationState): void {
    this.#state = state;
    this.#options.onChange(state);
  }
}
