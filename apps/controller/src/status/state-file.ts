/**
 * A JSON file of the state folder: replaced whole, only when its content changed, never twice at once.
 *
 * A write that fails is logged once and tried again with the next change; nothing waits for it.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';

import type { Clock } from '@ambit/core';
import { type Logger, OnceUntil } from '@ambit/telemetry';

/** Changes of one moment go into one write. */
const GATHER_MS = 100;

export interface Kept<T> {
  /** What an earlier process left; nothing where there is none. */
  read(): Promise<unknown>;
  /** `content` is asked when the write begins. */
  write(content: () => T): void;
  /** Until what was asked for is written. */
  flush(): Promise<void>;
}

/** For what the next process finds elsewhere. */
export const NOTHING_KEPT: Kept<unknown> = {
  read: () => Promise.resolve(undefined),
  write: () => undefined,
  flush: () => Promise.resolve(),
};

export class StateFile<T> implements Kept<T> {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #outage = new OnceUntil();
  #written = '';
  #wanted: (() => T) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: { readonly path: string; readonly clock: Clock; readonly log: Logger }) {
    this.#path = options.path;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** What an earlier process left; nothing where there is no file, or where it is not JSON. */
  async read(): Promise<unknown> {
    try {
      this.#written = await readFile(this.#path, 'utf8');
      return JSON.parse(this.#written) as unknown;
    } catch (error) {
      const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!isMissing) this.#log.warn('a state file cannot be read', { path: this.#path, error });
      return undefined;
    }
  }

  /** `content` is asked when the write begins. */
  write(content: () => T): void {
    this.#wanted = content;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Until what was asked for is on disk. */
  async flush(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#wanted !== undefined) {
      await this.#clock.sleep(GATHER_MS);
      const content = this.#wanted;
      this.#wanted = undefined;
      const text = `${JSON.stringify(content(), undefined, 1)}\n`;
      if (text === this.#written) continue;
      try {
        await writeFile(`${this.#path}.new`, text, { mode: 0o644 });
        await rename(`${this.#path}.new`, this.#path);
        this.#written = text;
        this.#outage.succeeded();
      } catch (error) {
        if (this.#outage.failed()) {
          this.#log.error('a state file cannot be written', { path: this.#path, error });
        }
      }
    }
  }
}
