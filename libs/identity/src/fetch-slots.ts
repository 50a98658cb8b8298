/**
 * A bounded number of fetches at once, handed out by priority and then by age.
 *
 * The queue holds one ticket an identity, so whoever bounds identities has bounded it.
 */

/** `now`: a connection waits for it. `warmup`: a pod appeared. `background`: a refresh. */
export type FetchPriority = 'now' | 'warmup' | 'background';

const ORDER: readonly FetchPriority[] = ['now', 'warmup', 'background'];

export interface FetchTicket {
  /** Resolves when it is this ticket's turn; rejects with the signal's reason. */
  readonly granted: Promise<void>;
  /** Moves a waiting ticket ahead. Never back. */
  raise(priority: FetchPriority): void;
  /** Gives the place to the next one. Idempotent; withdraws a ticket that still waits. */
  release(): void;
}

interface Waiting {
  priority: FetchPriority;
  readonly grant: () => void;
}

export class FetchSlots {
  readonly #max: number;
  readonly #waiting: Record<FetchPriority, Set<Waiting>> = {
    now: new Set(),
    warmup: new Set(),
    background: new Set(),
  };
  #inUse = 0;

  constructor({ max }: { readonly max: number }) {
    this.#max = max;
  }

  get inUse(): number {
    return this.#inUse;
  }

  get waiting(): number {
    return ORDER.reduce((sum, priority) => sum + this.#waiting[priority].size, 0);
  }

  request(priority: FetchPriority): FetchTicket {
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry: Waiting = { priority, grant: resolve };
    let isDone = false;
    this.#waiting[priority].add(entry);
    this.#grantNext();
    return {
      granted: promise,
      raise: (to) => {
        if (ORDER.indexOf(to) < ORDER.indexOf(entry.priority) && this.#withdraw(entry)) {
          entry.priority = to;
          this.#waiting[to].add(entry);
        }
      },
      release: () => {
        if (isDone) {
          return;
        }
        isDone = true;
        if (!this.#withdraw(entry)) {
          this.#inUse -= 1;
          this.#grantNext();
        }
      },
    };
  }

  #withdraw(entry: Waiting): boolean {
    return this.#waiting[entry.priority].delete(entry);
  }

  #grantNext(): void {
    while (this.#inUse < this.#max) {
      const next = ORDER.map((priority) => this.#waiting[priority].values().next().value).find(
        (entry) => entry !== undefined,
      );
      if (next === undefined) {
        return;
      }
      this.#withdraw(next);
      this.#inUse += 1;
      next.grant();
    }
  }
}
