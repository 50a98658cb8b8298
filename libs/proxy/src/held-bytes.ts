/**
 * What all copies of a thread hold for receivers that do not take it, and which of them wait for that.
 *
 * Rule: no direction may hold more than an eighth of what is left of the bound, so that some is left for those that begin, however many
 * receivers do not read; each may always hold a little. Who has more is read again when its receiver has taken that, and not before.
 * Nothing is lost.
 */
import { type Clock, Roster, type RosterMember, systemClock } from '@ambit/core';
import { FINISHED } from './finished.ts';

/** Whatever others hold; counted only for who holds more, until that has gone. */
const FLOOR_BYTES = 16 * 1024;
const SHARE = 1 / 8;
/** Who holds something is looked at so often while it changes, and seldom while it does not. */
const LOOK_MS = 20;
const LOOK_MS_MAX = 640;

/** One direction of a copy. */
export interface HeldSource {
  /** Written, and not taken yet. */
  readonly heldBytes: number;
  /** Called once after `wrote` said false. Must not throw. */
  onRoom(): void;
  /** Of `HeldBytes` alone, while it holds something that counts; most directions never have one. */
  hold: Hold | undefined;
}

class Hold implements RosterMember {
  rosterSlot = -1;
  readonly source: HeldSource;
  /** As counted. */
  bytes = 0;
  isWaiting = false;
  lookMs = LOOK_MS;
  lookAtMs = 0;

  constructor(source: HeldSource) {
    this.source = source;
  }
}

export interface HeldBytesOptions {
  readonly clock: Clock;
  readonly max: number;
  /** Calls `work` when everything that is under way has left; default: two turns of the event loop later. */
  readonly soon?: (work: () => void) => void;
}

/** What is gathered until the end of a turn is written in the next. */
const twoTurnsLater = (work: () => void): void => {
  setImmediate(() => setImmediate(work));
};

export class HeldBytes {
  /** Infinity: there is no bound, and nothing is counted. */
  max: number;
  readonly #clock: Clock;
  readonly #soon: (work: () => void) => void;
  readonly #holds = new Roster<Hold>();
  #bytes = 0;
  #isLooking = false;
  /** While nothing moves: aborted when something does. */
  #still: AbortController | undefined;
  /** How often a direction had to wait. */
  waits = 0;

  constructor({ clock, max, soon = twoTurnsLater }: HeldBytesOptions) {
    this.#clock = clock;
    this.#soon = soon;
    this.max = max;
  }

  /** Of all directions, as it was when they were looked at. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What one direction may hold now. */
  get mark(): number {
    return Math.max(FLOOR_BYTES, (this.max - this.#bytes) * SHARE);
  }

  /** After each write of a direction. False: it waits for `onRoom`. */
  wrote(source: HeldSource): boolean {
    if (this.max === Number.POSITIVE_INFINITY) {
      return true;
    }
    const bytes = source.heldBytes;
    if (bytes <= FLOOR_BYTES && source.hold === undefined) {
      // Everybody may hold that, and requests hold no more on their way: counting each would cost a quarter of what they do.
      return true;
    }
    source.hold ??= new Hold(source);
    const { hold } = source;
    this.#count(hold, bytes);
    if (bytes <= this.mark) {
      this.#goOn(hold);
      return true;
    }
    if (!hold.isWaiting) {
      this.waits += 1;
      hold.isWaiting = true;
      // Most of what a fast receiver has not taken is only on its way: it is not made to wait for the next look at all.
      this.#soon(() => this.#lookAt(hold, this.#clock.now()));
    }
    this.#lookSoon(hold);
    return false;
  }

  /** Holds nothing any more, and waits for nothing. Idempotent. */
  release({ hold }: HeldSource): void {
    if (hold !== undefined) {
      hold.isWaiting = false;
      this.#count(hold, 0);
    }
  }

  #count(hold: Hold, bytes: number): void {
    this.#bytes += bytes - hold.bytes;
    hold.bytes = bytes;
    if (bytes === 0) {
      this.#holds.delete(hold);
      hold.source.hold = undefined;
    } else if (!this.#holds.has(hold)) {
      this.#holds.add(hold);
      this.#lookSoon(hold);
      if (!this.#isLooking) {
        this.#isLooking = true;
        void this.#look();
      }
    }
  }

  #lookSoon(hold: Hold): void {
    hold.lookMs = LOOK_MS;
    hold.lookAtMs = this.#clock.now() + LOOK_MS;
    this.#still?.abort(FINISHED);
  }

  async #look(): Promise<void> {
    let moves = true;
    while (this.#holds.size > 0) {
      await this.#sleep(moves);
      moves = false;
      const now = this.#clock.now();
      for (const hold of this.#holds.all()) {
        if (now >= hold.lookAtMs) {
          this.#lookAt(hold, now);
        }
        moves ||= hold.lookMs < LOOK_MS_MAX;
      }
    }
    this.#isLooking = false;
  }

  /** A thread on which nothing moves is woken seldom: it counts as idle. */
  async #sleep(moves: boolean): Promise<void> {
    if (moves) {
      await this.#clock.sleep(LOOK_MS, undefined, { ref: false });
      return;
    }
    this.#still = new AbortController();
    try {
      await this.#clock.sleep(LOOK_MS_MAX, this.#still.signal, { ref: false });
    } catch {
      // Something moves: the next sleep is a short one.
      await this.#clock.sleep(LOOK_MS, undefined, { ref: false });
    } finally {
      this.#still = undefined;
    }
  }

  #lookAt(hold: Hold, now: number): void {
    if (!this.#holds.has(hold)) {
      // Released meanwhile.
      return;
    }
    const bytes = hold.source.heldBytes;
    hold.lookMs = bytes === hold.bytes ? Math.min(LOOK_MS_MAX, hold.lookMs * 2) : LOOK_MS;
    hold.lookAtMs = now + hold.lookMs;
    this.#count(hold, bytes);
    if (bytes <= this.mark) {
      this.#goOn(hold);
    }
  }

  #goOn(hold: Hold): void {
    if (hold.isWaiting) {
      hold.isWaiting = false;
      hold.source.onRoom();
    }
  }
}

/** Of this thread; without a bound until somebody sets one. */
export const threadHeld = new HeldBytes({ clock: systemClock, max: Number.POSITIVE_INFINITY });
