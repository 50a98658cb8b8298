/** How long a client has been waited for, in whatever is awaited of it at the time. */
import type { Sweeper } from './sweeper.ts';
import type { H1Timeouts } from './timeouts.ts';

export type Verdict = 'go-on' | 'due' | 'not-taken';

export class Patience {
  readonly #sweeper: Sweeper;
  readonly #timeouts: H1Timeouts;
  #dueAt = 0;
  #windowBytes = 0;
  #blockedSince: number | undefined;

  constructor(sweeper: Sweeper, timeouts: H1Timeouts) {
    this.#sweeper = sweeper;
    this.#timeouts = timeouts;
  }

  /** Something else is waited for, from now. */
  begin(ms: number): void {
    this.#dueAt = this.#sweeper.now() + ms;
    this.#windowBytes = 0;
  }

  received(bytes: number): void {
    this.#windowBytes += bytes;
  }

  /** The transport takes again what is written. */
  unblock(): void {
    this.#blockedSince = undefined;
  }

  /** `isBlocked`: something that was written waits to be taken; nothing else is waited for meanwhile. */
  judge(nowMs: number, isBlocked: boolean): Verdict {
    if (isBlocked) {
      this.#blockedSince ??= nowMs;
      return nowMs - this.#blockedSince >= this.#timeouts.writeMs ? 'not-taken' : 'go-on';
    }
    return nowMs >= this.#dueAt ? 'due' : 'go-on';
  }

  /** At the end of a window in which a body was awaited: whether enough of it came. Begins the next. */
  nextWindow(): boolean {
    const isEnough = this.#windowBytes >= this.#timeouts.bodyBytesMin;
    this.begin(this.#timeouts.bodyWindowMs);
    return isEnough;
  }
}
