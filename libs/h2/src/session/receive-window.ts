/**
 * How much the peer may send (RFC 9113 §5.2, §6.9), for one stream or for the connection.
 *
 * Rule: credit is given back when half of the window was used, so updates are few. Only then may its size change: what the
 * peer may send already is never taken back.
 */

export class ReceiveWindow {
  /** What the peer may still send. */
  #open: number;
  /** What the window is when everything is given back. */
  #size: number;
  readonly #min: number;
  readonly #max: number;
  #used = 0;
  /** What counts of its growth; whoever keeps the account sets it. */
  countedBytes = 0;
  /** When it was last given back. */
  #at: number;

  constructor(options: { readonly bytes: number; readonly max: number; readonly now: number }) {
    this.#open = options.bytes;
    this.#size = options.bytes;
    this.#min = options.bytes;
    this.#max = options.max;
    this.#at = options.now;
  }

  get size(): number {
    return this.#size;
  }

  /** The peer has sent so much. False: it was not allowed to. */
  take(bytes: number): boolean {
    this.#open -= bytes;
    return this.#open >= 0;
  }

  /** `bytes` are done with. True: `update` has something to tell the peer. */
  release(bytes: number): boolean {
    this.#used += bytes;
    return this.#used * 2 >= this.#size;
  }

  /** As it would be one step larger; the same at its maximum. */
  get larger(): number {
    return Math.min(this.#max, this.#size * 2);
  }

  /** One step smaller; the same where it is as it began. */
  get smaller(): number {
    return Math.max(this.#min, Math.floor(this.#size / 2));
  }

  /** How long what was used lasted. */
  usedForMs(now: number): number {
    return now - this.#at;
  }

  /** The increment of a WINDOW_UPDATE, which may be nothing. `size`: what the window is from now on, `larger` or `smaller`. */
  update(now: number, size: number = this.#size): number {
    const increment = this.#used + size - this.#size;
    this.#size = size;
    this.#at = now;
    this.#used = 0;
    this.#open += increment;
    return increment;
  }

  /** The window as large as it may be, at once. */
  widen(): number {
    const increment = this.#max - this.#size;
    this.#size = this.#max;
    this.#open += increment;
    return increment;
  }
}
