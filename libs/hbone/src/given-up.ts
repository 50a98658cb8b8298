/**
 * CONNECTs of a session that nobody waits for any more and the peer has not answered.
 *
 * Rule: a peer counts requests that are taken back before their answer, and ends the session with everybody's streams when there are
 * many. So only few are reset at once. The others are abandoned: they stay open until the answer, after which more resets are borne
 * (`answered-resets.ts`), or until the answer is overdue, and are reset then, at the same pace.
 */
import type { Clock } from '@ambit/core';
import { type ClientStream, ERROR, TokenBucket } from '@ambit/h2';

/** Resets before an answer. Peers bear 200 and 33/s (ours), 100 at once (Go), 20 that they have not looked at (Rust). */
const RESETS = { burst: 8, perSecond: 8 };
const TURN_MS = 1_000 / RESETS.perSecond;

/** Of a pool; answered ones that wait for their reset too (`answered-resets.ts`). */
export interface AbandonedCounters {
  /** CONNECTs that nobody waited for and that were kept open. */
  abandoned: number;
  /** Of those, now. */
  abandonedOpen: number;
  /** CONNECTs that were one more than may be kept open: reset at once. */
  abandonedAtBound: number;
}

export interface GivenUpOptions {
  readonly clock: Clock;
  readonly counters: AbandonedCounters;
  /** Kept open of the whole pool. */
  readonly abandonedMax: number;
}

export class GivenUp {
  readonly #options: GivenUpOptions;
  readonly #resets: TokenBucket;
  readonly #abandoned = new Set<ClientStream>();
  /** Of those, the ones whose answer is overdue, in turn. */
  readonly #overdue = new Set<ClientStream>();
  #isResetting = false;

  constructor(options: GivenUpOptions) {
    this.#options = options;
    this.#resets = new TokenBucket(options.clock, RESETS);
  }

  /** Open streams that nobody waits for. */
  get size(): number {
    return this.#abandoned.size;
  }

  /** Nobody waits for it any more. True: it stays open; call `answered`, `expired` and `closed` when that happens. */
  add(stream: ClientStream): boolean {
    const { counters, abandonedMax } = this.#options;
    if (stream.isClosed || stream.isAnswered || this.#resets.takeIfAny()) {
      stream.reset(ERROR.CANCEL);
      return false;
    }
    if (counters.abandonedOpen >= abandonedMax) {
      counters.abandonedAtBound += 1;
      stream.reset(ERROR.CANCEL);
      return false;
    }
    counters.abandoned += 1;
    counters.abandonedOpen += 1;
    this.#abandoned.add(stream);
    return true;
  }

  /** Whatever the peer said, nobody is there to hear it. The reset has the pace of those after an answer. */
  answered(stream: ClientStream): void {
    if (this.#abandoned.has(stream)) {
      stream.reset(ERROR.CANCEL);
    }
  }

  /** The peer does not answer at all. */
  expired(stream: ClientStream): void {
    if (this.#abandoned.has(stream)) {
      this.#overdue.add(stream);
      if (!this.#isResetting) {
        this.#isResetting = true;
        void this.#resetOverdue();
      }
    }
  }

  closed(stream: ClientStream): void {
    this.#overdue.delete(stream);
    if (this.#abandoned.delete(stream)) {
      this.#options.counters.abandonedOpen -= 1;
    }
  }

  async #resetOverdue(): Promise<void> {
    try {
      for (const stream of this.#overdue) {
        while (!(stream.isClosed || this.#resets.takeIfAny())) {
          await this.#options.clock.sleep(TURN_MS, undefined, { ref: false });
        }
        stream.reset(ERROR.CANCEL);
      }
    } finally {
      this.#isResetting = false;
    }
  }
}
