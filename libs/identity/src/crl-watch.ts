/**
 * Follows the file of revocation lists (`CRL_PATH`).
 *
 * Rule: what is known to be revoked stays so. A file that turns bad or vanishes leaves the lists in use that were good; where none ever
 * were, a bad file means that nobody's status is known. Only an empty file takes lists away, and one that was never there has none.
 * Nothing is in use that could not be handed on; it is tried again with the next look.
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
  /** Also with the first state, before `start` resolves. If it throws, it is called again with what the next look finds. */
  readonly onChange: (state: RevocationState) => void;
  /** Once per reason, until the file is good again. */
  readonly onProblem: (reason: string, options: { readonly isInUse: boolean }) => void;
}

export interface CrlStatus {
  readonly summaries: readonly CrlSummary[];
  /** Why the file is not what is in use. */
  readonly problem: string | undefined;
  /** How often what was found could not be handed on. */
  readonly failures: number;
}

export class CrlWatch {
  readonly #options: CrlWatchOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #state: RevocationState | undefined;
  /** `#state` was handed on. */
  #isTold = false;
  /** There was a file, or something that could not be read. */
  #hasSeen = false;
  #lists: RevocationLists | undefined;
  /** Of what is in use. */
  #text: Buffer | undefined;
  #problem: string | undefined;
  #failures = 0;

  constructor(options: CrlWatchOptions) {
    this.#options = options;
  }

  /** What is in use now; nobody's status is known before `start` has resolved. */
  get state(): RevocationState {
    return this.#state ?? { kind: 'unusable', reason: 'the revocation lists are not read yet' };
  }

  get status(): CrlStatus {
    const summaries = this.#lists?.summaries ?? [];
    return { summaries, problem: this.#problem, failures: this.#failures };
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
    let text: Buffer;
    let lists: RevocationLists | undefined;
    try {
      const file = await this.#options.read();
      if (file === undefined) {
        this.#missing();
        return;
      }
      this.#hasSeen = true;
      text = Buffer.from(file);
      if (this.#text?.equals(text)) {
        this.#problem = undefined;
        return;
      }
      lists = RevocationLists.parse(text);
    } catch (error) {
      this.#hasSeen = true;
      this.#bad(reasonOf(error));
      return;
    }
    if (this.#use(lists === undefined ? { kind: 'none' } : { kind: 'lists', file: text })) {
      this.#text = text;
      this.#lists = lists;
    }
  }

  #missing(): void {
    if (this.#state?.kind === 'none') {
      return;
    }
    if (this.#hasSeen) {
      this.#bad('the file of revocation lists is gone');
    } else {
      this.#use({ kind: 'none' });
    }
  }

  #bad(reason: string): void {
    const isInUse = this.#lists !== undefined;
    this.#tell(reason, { isInUse });
    if (isInUse || (this.#isTold && this.#state?.kind === 'unusable')) {
      return;
    }
    // What is read next counts, also if it is what was there before.
    this.#text = undefined;
    // Whoever asks is told at once, also if those who should be told cannot be.
    this.#state = { kind: 'unusable', reason };
    this.#isTold = this.#handOn(this.#state) === undefined;
  }

  #tell(reason: string, options: { readonly isInUse: boolean }): void {
    if (reason !== this.#problem) {
      this.#problem = reason;
      this.#options.onProblem(reason, options);
    }
  }

  /** False: what was in use before still is, or nobody's status is known. */
  #use(state: RevocationState): boolean {
    const failure = this.#handOn(state);
    if (failure !== undefined) {
      // Some may have heard of it: what was in use is handed on again, should it come back.
      this.#text = undefined;
      this.#bad(`what is in the file cannot be handed on: ${failure}`);
      return false;
    }
    this.#state = state;
    this.#isTold = true;
    this.#problem = undefined;
    return true;
  }

  /** Why it could not be; undefined: it was. */
  #handOn(state: RevocationState): string | undefined {
    try {
      this.#options.onChange(state);
      return undefined;
    } catch (error) {
      this.#failures += 1;
      return reasonOf(error);
    }
  }
}
