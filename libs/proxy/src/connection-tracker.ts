/**
 * Live connections with what policy decided about them, so that a change of policy reaches them.
 *
 * Rule: a connection is registered before it is checked. A change that comes between the check and
 * the first byte then finds it, and nothing slips between.
 */
import { type MeshError, Roster, type RosterMember } from '@ambit/core';

/** What ends a connection: a `Canceller`. Called at most once, by `reevaluate` or `closeAll`. */
interface Life {
  abort(reason: MeshError): void;
}

export interface TrackerCounters {
  readonly live: number;
  readonly opened: number;
  readonly refusedAtBound: number;
  readonly closedByChange: number;
}

/** A place among the live ones, or among those that were told to close. */
class Hold<Context> implements RosterMember, Disposable {
  rosterSlot = -1;
  readonly context: Context;
  readonly life: Life;
  /** Counts up. */
  readonly order: number;
  readonly #release: (hold: Hold<Context>) => void;

  constructor(
    context: Context,
    life: Life,
    { order, release }: { order: number; release: (hold: Hold<Context>) => void },
  ) {
    this.context = context;
    this.life = life;
    this.order = order;
    this.#release = release;
  }

  [Symbol.dispose](): void {
    this.#release(this);
  }
}

export class ConnectionTracker<Context> {
  readonly #max: number;
  readonly #live = new Roster<Hold<Context>>();
  /** Told to close, not gone yet. */
  readonly #closing = new Roster<Hold<Context>>();
  readonly #releaseHold = (hold: Hold<Context>): void => this.#release(hold);
  #opened = 0;
  #refusedAtBound = 0;
  #closedByChange = 0;
  #idle: PromiseWithResolvers<void> | undefined;

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
  register(context: Context, life: Life): Disposable | undefined {
    if (this.#live.size >= this.#max) {
      this.#refusedAtBound += 1;
      return undefined;
    }
    this.#opened += 1;
    const hold = new Hold(context, life, {
      order: this.#opened,
      release: this.#releaseHold,
    });
    this.#live.add(hold);
    return hold;
  }

  /** Resolves when nothing is registered; a connection that was told to close counts until its hold is disposed. */
  idle(): Promise<void> {
    if (this.#live.size === 0 && this.#closing.size === 0) {
      return Promise.resolve();
    }
    this.#idle ??= Promise.withResolvers<void>();
    return this.#idle.promise;
  }

  /** Closes every connection for which `check` gives a reason; returns how many. */
  reevaluate(check: (context: Context) => MeshError | undefined): number {
    let closed = 0;
    for (const hold of this.#live.all()) {
      const reason = check(hold.context);
      if (reason !== undefined) {
        closed += 1;
        this.#tell(hold, reason);
      }
    }
    this.#closedByChange += closed;
    return closed;
  }

  closeAll(reason: MeshError): void {
    for (const hold of this.#live.all()) {
      this.#tell(hold, reason);
    }
  }

  #tell(hold: Hold<Context>, reason: MeshError): void {
    if (this.#live.delete(hold)) {
      this.#closing.add(hold);
      hold.life.abort(reason);
    }
  }

  #release(hold: Hold<Context>): void {
    if (!this.#live.delete(hold)) {
      this.#closing.delete(hold);
    }
    if (this.#live.size === 0 && this.#closing.size === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
  }

  /** For the admin dump, in order of opening. */
  *contexts(): Generator<Context> {
    for (const { context } of this.#live.all().sort((a, b) => a.order - b.order)) {
      yield context;
    }
  }
}
