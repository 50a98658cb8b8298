/**
 * Readiness as named holds: ready when nothing is pending, and it says what is.
 *
 * Answers: 200 `ready`, or 500 `not ready, pending: a, b`.
 */
export class Readiness {
  readonly #pending = new Set<string>();
  readonly #waiters = new Set<() => void>();

  /** Until the returned hold is disposed, the process is not ready. A name may be held again later. */
  hold(name: string): Disposable {
    this.#pending.add(name);
    return {
      [Symbol.dispose]: () => {
        if (this.#pending.delete(name) && this.#pending.size === 0) {
          for (const wake of this.#waiters) {
            wake();
          }
          this.#waiters.clear();
        }
      },
    };
  }

  get isReady(): boolean {
    return this.#pending.size === 0;
  }

  get pending(): readonly string[] {
    return [...this.#pending].sort();
  }

  whenReady(): Promise<void> {
    if (this.isReady) {
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiters.add(resolve));
  }
}
