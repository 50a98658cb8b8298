/**
 * Live connections with what policy decided about them, so that a change of policy reaches them.
 *
 * Rule: a connection is registered before it is checked. A change that comes between the check and
 * the first byte then finds it, and nothing slips between.
 */
import type { MeshError } from '@ambit/core';

export interface TrackedConnection<Context> {
  readonly context: Context;
  /** Called at most once, by `reevaluate` or `closeAll`. */
  readonly close: (reason: MeshError) => void;
}

export interface TrackerCounters {
  readonly live: number;
  readonly opened: number;
  readonly refusedAtBound: number;
  readonly closedByChange: number;
}

export class ConnectionTracker<Context> {
  readonly #max: number;
  readonly #live = new Set<TrackedConnection<Context>>();
  #opened = 0;
  #refusedAtBound = 0;
  #closedByChange = 0;

  /** `max` live connections; beyond, `register` answers undefined and counts. */
  constructor(options: { readonly max: number }) {
    this.#max = options.max;
  }

  get counters(): TrackerCounters {
    return {
      live: this.#live.size,
      opened: this.#opened,
      refusedAtBound: this.#refusedAtBound,
      closedByChange: this.#closedByChange,
    };
  }

  /** Call before the check. Dispose the hold when the connection is over. Undefined: at the bound. */
  register(connection: TrackedConnection<Context>): Disposable | undefined {
    if (this.#live.size >= this.#max) {
      this.#refusedAtBound += 1;
      return undefined;
    }
    this.#opened += 1;
    this.#live.add(connection);
    return {
      [Symbol.dispose]: () => {
        this.#live.delete(connection);
      },
    };
  }

  /** Closes every connection for which `check` gives a reason; returns how many. */
  reevaluate(check: (context: Context) => MeshError | undefined): number {
    let closed = 0;
    for (const connection of [...this.#live]) {
      const reason = check(connection.context);
      if (reason !== undefined) {
        this.#live.delete(connection);
        closed += 1;
        connection.close(reason);
      }
    }
    this.#closedByChange += closed;
    return closed;
  }

  closeAll(reason: MeshError): void {
    for (const connection of [...this.#live]) {
      this.#live.delete(connection);
      connection.close(reason);
    }
  }

  /** For the admin dump, in order of opening. */
  *contexts(): Generator<Context> {
    for (const connection of this.#live) {
      yield connection.context;
    }
  }
}
