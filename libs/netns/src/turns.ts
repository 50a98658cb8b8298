/** Some at a time, the others in the order in which they came. Bounds how many processes a burst of pods starts. */

export class Turns {
  readonly #max: number;
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Since the start. */
  get taken(): number {
    return this.#taken;
  }

  /** Resolves or rejects as `work` does, which is called when its turn has come. The queue's bound is the caller's. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#max) {
      this.#running++;
    } else {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    }
    this.#taken++;
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** The place goes to the next one, so that nobody who comes meanwhile gets in before. */
  #leave(): void {
    const next = this.#queue.shift();
    if (next === undefined) {
      this.#running--;
    } else {
      next();
    }
  }
}
