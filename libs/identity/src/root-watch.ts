/**
 * Follows the file of roots that a proxy verifies its control plane with.
 *
 * A change of that file is how a proxy learns that the mesh's roots change: it then asks for its certificates again,
 * which brings the new bundle, instead of waiting for half of their life. What it has is told each time it changes.
 */
import type { Clock } from '@ambit/core';

import type { CertificateManager } from './certificate-manager.ts';
import { reasonOf } from './errors.ts';
import { trustMark, trustNames } from './trust-names.ts';

/** Mounted files change by symlink, which watches miss. */
const READ_MS = 5_000;
/** A cluster of agents must not ask at once. */
const RENEW_WITHIN_MS = 30_000;
/** Again, if the CA has not heard of the new roots by then: it may be another replica than the one that wrote them. */
const AGAIN_MS: readonly number[] = [60_000, 180_000, 600_000];

export interface RootWatchOptions {
  readonly clock: Clock;
  readonly manager: Pick<CertificateManager, 'certificates' | 'renewAll'>;
  /** Text of the file. */
  readonly read: () => Promise<string>;
  /** Told of `trustNames` when they change. */
  readonly announce: (names: ReadonlySet<string>) => void;
  readonly onChange?: () => void;
  /** Once per reason, until the file can be read again. */
  readonly onError?: (reason: string) => void;
}

export class RootWatch {
  readonly #options: RootWatchOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #text: string | undefined;
  #problem = '';
  #said = '';
  /** Monotonic, when to look whether the certificates have the roots of the file; the first is next. */
  #again: readonly number[] = [];

  constructor(options: RootWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { clock } = this.#options;
    while (!signal.aborted) {
      await this.#look();
      await clock.sleep(READ_MS, signal).catch(() => {
        // Stopped: the loop ends.
      });
    }
  }

  async #look(): Promise<void> {
    const { clock, read, manager, announce, onChange } = this.#options;
    try {
      const text = await read();
      this.#problem = '';
      if (this.#text !== undefined && text !== this.#text) {
        onChange?.();
        manager.renewAll({ withinMs: RENEW_WITHIN_MS });
        this.#again = AGAIN_MS.map((ms) => clock.now() + ms);
      }
      this.#text = text;
    } catch (error) {
      this.#failed(reasonOf(error));
    }
    this.#renewAgain();
    const names = trustNames({ fileRoots: this.#text, certificates: manager.certificates() });
    const said = [...names].sort().join(' ');
    if (said !== this.#said) {
      this.#said = said;
      announce(names);
    }
  }

  #renewAgain(): void {
    const { clock, manager } = this.#options;
    const [next, ...later] = this.#again;
    if (next === undefined || clock.now() < next) return;
    const wanted = this.#bundle(this.#text);
    const isBehind = manager.certificates().some((one) => this.#bundle(one.rootsPem) !== wanted);
    this.#again = isBehind ? later : [];
    if (isBehind) manager.renewAll({ withinMs: RENEW_WITHIN_MS });
  }

  #bundle(rootBundlePem: string | undefined): string {
    return trustMark({ rootBundlePem: rootBundlePem ?? '', issuerPem: '' }).bundle;
  }

  #failed(reason: string): void {
    if (reason === this.#problem) return;
    this.#problem = reason;
    this.#options.onError?.(reason);
  }
}
