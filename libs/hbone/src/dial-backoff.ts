/**
 * How long the next dial of a tunnel waits, by key, after dials that reached nobody.
 *
 * Rule: whoever wants the same tunnel waits for the same dial, so a peer that is away is asked about twice a second by each
 * pod, by however many connections it is waited for.
 */
import type { Clock } from '@ambit/core';

const FIRST_MS = 50;
const LONGEST_MS = 500;
/** Whom nobody has asked for so long is asked at once. */
const FORGOTTEN_MS = 10_000;
/** Beyond, the oldest is forgotten. */
const REMEMBERED_MAX = 1_024;

interface Failures {
  readonly count: number;
  /** Clock time. */
  readonly nextAt: number;
}

export class DialBackoff {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #failures = new Map<string, Failures>();

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Cheap: asked for every stream. */
  get isEmpty(): boolean {
    return this.#failures.size === 0;
  }

  /** Whether its last dial, not long ago, reached nobody. */
  has(key: string): boolean {
    const known = this.#failures.get(key);
    return known !== undefined && this.#clock.now() - known.nextAt < FORGOTTEN_MS;
  }

  /** 0: at once. */
  waitMs(key: string): number {
    const known = this.#failures.get(key);
    return known === undefined ? 0 : Math.max(0, known.nextAt - this.#clock.now());
  }

  /** A dial reached nobody. */
  failed(key: string): void {
    this.#note(key, this.#count(key) + 1);
  }

  /** A tunnel was lost before it answered anybody. Once is no reason to wait: maybe another stands there by now. */
  lost(key: string): void {
    this.#note(key, this.has(key) ? this.#count(key) + 1 : 0);
  }

  /** Somebody was reached. */
  succeeded(key: string): void {
    this.#failures.delete(key);
  }

  #count(key: string): number {
    return this.has(key) ? (this.#failures.get(key)?.count ?? 0) : 0;
  }

  #note(key: string, count: number): void {
    const fullMs = count === 0 ? 0 : Math.min(LONGEST_MS, FIRST_MS * 2 ** (count - 1));
    // Half of it by chance, so that agents that lost a node do not come back to it together.
    const waitMs = fullMs * (0.5 + this.#random() / 2);
    this.#failures.delete(key);
    this.#failures.set(key, { count, nextAt: this.#clock.now() + waitMs });
    if (this.#failures.size > REMEMBERED_MAX) {
      const [oldest] = this.#failures.keys();
      this.#failures.delete(oldest ?? '');
    }
  }
}
