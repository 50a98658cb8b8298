/**
 * Resets of tunnels that the peer has answered: callers who take an answer back, connections that are cut.
 *
 * Rule: a peer counts these too, and ends the session with everybody's streams when there are many. So they leave at a pace that it
 * bears at its strictest. Beyond, the tunnel is over for its caller at once, and for the peer when its turn comes; until then what the
 * peer sends is dropped, and its window stays closed. It is not ended in order meanwhile: half an upload would look like a whole one.
 */
import type { Clock } from '@ambit/core';
import { type ClientStream, type ErrorNumber, TokenBucket } from '@ambit/h2';
import type { AbandonedCounters } from './given-up.ts';

/** Ours bear 2000 and 500/s, and 200 at first of a peer that comes back after a flood. */
const RESETS = { burst: 100, perSecond: 250 };
const TURN_MS = 40;

export interface AnsweredResetsOptions {
  readonly clock: Clock;
  readonly counters: AbandonedCounters;
  /** Kept open of the whole pool. */
  readonly abandonedMax: number;
  /** Sends one. */
  readonly reset: (stream: ClientStream, code: ErrorNumber) => void;
  /** Fewer are held. */
  readonly onReset: () => void;
}

export class AnsweredResets {
  readonly #options: AnsweredResetsOptions;
  readonly #bucket: TokenBucket;
  /** In turn. */
  readonly #held = new Map<ClientStream, ErrorNumber>();
  #isResetting = false;

  constructor(options: AnsweredResetsOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.clock, RESETS);
  }

  /** Streams that are over here and open for the peer. */
  get size(): number {
    return this.#held.size;
  }

  /** Asked before each reset. True: it is sent later. */
  holds(stream: ClientStream, code: ErrorNumber): boolean {
    // Before the answer the pace is another (`given-up.ts`).
    if (!stream.isAnswered) {
      return false;
    }
    if (this.#held.size === 0 && this.#bucket.takeIfAny()) {
      return false;
    }
    const { counters, abandonedMax } = this.#options;
    if (counters.abandonedOpen >= abandonedMax) {
      counters.abandonedAtBound += 1;
      return false;
    }
    counters.abandoned += 1;
    counters.abandonedOpen += 1;
    this.#held.set(stream, code);
    if (!this.#isResetting) {
      this.#isResetting = true;
      void this.#resetInTurn();
    }
    return true;
  }

  /** The session is over. */
  clear(): void {
    this.#options.counters.abandonedOpen -= this.#held.size;
    this.#held.clear();
  }

  async #resetInTurn(): Promise<void> {
    const { clock, counters, reset, onReset } = this.#options;
    try {
      while (this.#held.size > 0) {
        await clock.sleep(TURN_MS, undefined, { ref: false });
        for (const [stream, code] of this.#held) {
          if (!this.#bucket.takeIfAny()) {
            break;
          }
          this.#held.delete(stream);
          counters.abandonedOpen -= 1;
          reset(stream, code);
        }
        onReset();
      }
    } finally {
      this.#isResetting = false;
    }
  }
}
