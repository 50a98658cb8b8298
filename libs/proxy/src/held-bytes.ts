/**
 * What all copies of a thread hold for receivers that do not take it, and which of them wait for that.
 *
 * Rule: no direction may hold more than an eighth of what is left of the bound, so that some is left for those that begin, however many
 * receivers do not read; each may always hold a little. Who has more is read again when its receiver has taken that, and not before.
 * Nothing is lost.
 */
import { type Clock, Roster, type RosterMember, systemClock } from '@ambit/core';

/** Whatever others hold. */
const FLOOR_BYTES = 16 * 1024;
const SHARE = 1 / 8;
/** Who holds something is looked at so often while it changes, and seldom while it does not. */
const LOOK_MS = 20;
const LOOK_MS_MAX = 640;

/** One direction of a copy. */
export interface HeldSource {
  /** Written, and not taken yet. */
  readonly heldBytes: number;
  /** Called once after `wrote` said false. */
  onRoom(): void;
  /** Of `HeldBytes` alone; most directions never have one. */
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
}

export class HeldBytes {
  /** Infinity: there is no bound, and nothing is counted. */
  max: number;
  readonly #clock: Clock;
  readonly #holds = new Roster<Hold>();
  #bytes = 0;
  #isLooking = false;
  /** How often a direction had to wait. */
  waits = 0;

  constructor({ clock, max }: HeldBytesOptions) {
    this.#clock = clock;
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
    if (bytes === 0 && source.hold === undefined) {
      return true;
    }
    source.hold ??= new Hold(source);
    const { hold } = source;
    this.#count(hold, bytes);
    if (bytes <= this.mark) {
      return true;
    }
    this.waits += hold.isWaiting ? 0 : 1;
    hold.isWaiting = true;
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
  }

  async #look(): Promise<void> {
    while (this.#holds.size > 0) {
      await this.#clock.sleep(LOOK_MS, undefined, { ref: false });
      const now = this.#clock.now();
      for (const hold of this.#holds.all()) {
        if (now >= hold.lookAtMs) {
          this.#lookAt(hold, now);
        }
      }
    }
    this.#isLooking = false;
  }

  #lookAt(hold: Hold, now: number): void {
    const bytes = hold.source.heldBytes;
    hold.lookMs = bytes === hold.bytes ? Math.min(LOOK_MS_MAX, hold.lookMs * 2) : LOOK_MS;
    hold.lookAtMs = now + hold.lookMs;
    const { isWaiting } = hold;
    this.#count(hold, bytes);
    if (isWaiting && bytes <= this.mark) {
      hold.isWaiting = false;
      hold.source.onRoom();
    }
  }
}

/** Of this thread; without a bound until somebody sets one. */
export const threadHeld = new HeldBytes({ clock: systemClock, max: Number.POSITIVE_INFINITY });
