/**
 * Connections that wait for a moment before they may go on, in a line for each name.
 *
 * Rule: the newest always gets a place, because nobody knows whether it is of who is waited for or of somebody else behind the same
 * name. Beyond the bound the one that has waited longest leaves: as often as turns come without a crowd it goes on at once, and
 * else it is refused. So a crowd gets no more turns than that, and each of it as good a chance.
 */
import type { Clock } from '@ambit/core';
import { FINISHED } from '@ambit/proxy';

export interface WaiterCounters {
  /** Connections that waited. */
  waits: number;
  /** Those that had waited longest when one more came than may wait, and had no turn. */
  refused: number;
}

interface Waiter {
  readonly line: Line;
  readonly over: AbortController;
  /** May it go on, when its wait is cut short. */
  hasTurn: boolean;
}

/** Those of one name, the one that waits longest first. */
export class Line {
  readonly waiters = new Set<Waiter>();
  /** When one went on early. */
  turnAt = Number.NEGATIVE_INFINITY;
}

export interface WaitersOptions {
  readonly clock: Clock;
  readonly counters: WaiterCounters;
  /** Of a line. */
  readonly max: number;
  /** Of all lines. */
  readonly ofAllMax: number;
}

export class Waiters {
  readonly #options: WaitersOptions;
  readonly #all = new Set<Waiter>();

  constructor(options: WaitersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#all.size;
  }

  /** True: it may go on. False: it has lost its place, or `gone` was aborted. */
  async wait(line: Line, ms: number, gone?: AbortSignal): Promise<boolean> {
    const { clock, counters } = this.#options;
    if (gone?.aborted === true) {
      return false;
    }
    counters.waits += 1;
    this.#makeRoom(line, ms);
    const waiter: Waiter = { line, over: new AbortController(), hasTurn: false };
    const leave = (): void => waiter.over.abort(FINISHED);
    gone?.addEventListener('abort', leave, { once: true });
    line.waiters.add(waiter);
    this.#all.add(waiter);
    try {
      await clock.sleep(ms, waiter.over.signal);
      return true;
    } catch {
      return waiter.hasTurn;
    } finally {
      gone?.removeEventListener('abort', leave);
      this.#remove(waiter);
    }
  }

  /** A name with others in line gives up one of its own. */
  #makeRoom(line: Line, ms: number): void {
    const { max, ofAllMax } = this.#options;
    if (line.waiters.size >= max || this.#all.size >= ofAllMax) {
      const [oldest] = line.waiters.size > 0 ? line.waiters : this.#all;
      if (oldest !== undefined) {
        this.#displace(oldest, ms);
      }
    }
  }

  #displace(waiter: Waiter, ms: number): void {
    const { clock, counters, max } = this.#options;
    const now = clock.now();
    this.#remove(waiter);
    if (now - waiter.line.turnAt >= ms / max) {
      waiter.line.turnAt = now;
      waiter.hasTurn = true;
    } else {
      counters.refused += 1;
    }
    waiter.over.abort(FINISHED);
  }

  #remove(waiter: Waiter): void {
    waiter.line.waiters.delete(waiter);
    this.#all.delete(waiter);
  }
}
