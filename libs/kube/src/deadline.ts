/**
 * A signal that aborts after a time or with its parent, and is given back when the work is done.
 *
 * `using deadline = new Deadline(…)`: the parent's listener and the sleep go with the scope, so a
 * signal that lives as long as the process does not collect listeners.
 */
import type { Clock } from '@ambit/core';
import { KubeError } from './errors.ts';

export class Deadline implements Disposable {
  readonly #clock: Clock;
  readonly #what: string;
  readonly #abort = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #done = new AbortController();
  #until = 0;
  readonly #onParent = (): void => this.#abort.abort(this.#parent?.reason);

  /** Aborts with KUBE_TIMEOUT after `ms`, or with the parent's reason. Throws that reason if the parent has aborted. */
  constructor(clock: Clock, ms: number, what: string, parent?: AbortSignal) {
    parent?.throwIfAborted();
    this.#clock = clock;
    this.#what = what;
    this.#parent = parent;
    parent?.addEventListener('abort', this.#onParent, { once: true });
    this.extend(ms);
    void this.#watch(ms);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Starts the time again. Costs nothing: the sleep that is under way begins another one. */
  extend(ms: number): void {
    this.#until = this.#clock.now() + ms;
  }

  [Symbol.dispose](): void {
    this.#done.abort();
    this.#parent?.removeEventListener('abort', this.#onParent);
  }

  async #watch(ms: number): Promise<void> {
    try {
      for (let left = ms; left > 0; left = this.#until - this.#clock.now()) {
        await this.#clock.sleep(left, this.#done.signal);
      }
    } catch {
      // Done in time: nobody waits any more.
      return;
    }
    const message = `${this.#what}: nothing for ${ms} ms`;
    this.#abort.abort(new KubeError('KUBE_TIMEOUT', message, { retryable: true }));
  }
}

/** The promise, or the signal's reason if that aborts first. For work that others share and that goes on without us. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) {
    abort();
  }
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    // Nobody waits for the one that comes second.
    work.catch(() => undefined);
    promise.catch(() => undefined);
  }
}
