/**
 * How much the peer may send (RFC 9113 §5.2, §6.9), for one stream or for the connection.
 *
 * Rule: credit is given back when half of the window was used, so updates are few. A window that was used up
 * faster than `paceMs` is what limits the sender, and is doubled, up to the maximum.
 */

export class ReceiveWindow {
  /** What the peer may still send. */
  #open: number;
  /** What the window is when everything is given back. */
  #size: number;
  readonly #max: number;
  #used = 0;
  /** When it was last given back. */
  #at: number;

  constructor(options: { readonly bytes: number; readonly max: number; readonly now: number }) {
    this.#open = options.bytes;
    this.#size = options.bytes;
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

  /** The increment of a WINDOW_UPDATE. */
  update(now: number, paceMs: number): number {
    let increment = this.#used;
    if (this.#size < this.#max && now - this.#at <= paceMs) {
      const size = Math.min(this.#max, this.#size * 2);
      increment += size - this.#size;
      this.#size = size;
    }
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
