/**
 * Endpoints to which no connection comes about: nobody says yes, nobody says no. Others are asked first.
 *
 * Rule: this only ever changes the order. When the time is over one request tries the endpoint again, and the others go on without
 * it until that one has got through. Who refuses at once is no such endpoint: that costs nobody time, and retries see to it.
 */
import type { Clock } from '@ambit/core';

/** Inside of a mesh a connection takes milliseconds. */
const LATE_MS = 1_000;
const SHUNNED_MS = 10_000;

interface Attempt {
  readonly begunMs: number;
}

/** Of one cluster, by key. */
export class LateEndpoints {
  readonly #clock: Clock;
  /** Attempts that go on; of each endpoint the oldest first. */
  readonly #dialling = new Map<string, Set<Attempt>>();
  readonly #shunnedUntil = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Cheap: asked for every request. */
  get isEmpty(): boolean {
    return this.#dialling.size === 0 && this.#shunnedUntil.size === 0;
  }

  has(key: string): boolean {
    const nowMs = this.#clock.now();
    const [oldest] = this.#dialling.get(key) ?? [];
    const isLate = oldest !== undefined && nowMs - oldest.begunMs >= LATE_MS;
    return isLate || nowMs < (this.#shunnedUntil.get(key) ?? 0);
  }

  /** Connects, and learns from it. */
  async watch<T>(key: string, dial: () => Promise<T>): Promise<T> {
    const attempt = { begunMs: this.#clock.now() };
    const attempts = this.#dialling.get(key) ?? new Set();
    this.#dialling.set(key, attempts.add(attempt));
    if (this.#shunnedUntil.has(key)) {
      // Somebody tries it now.
      this.#shun(key);
    }
    try {
      const made = await dial();
      this.#shunnedUntil.delete(key);
      return made;
    } catch (error) {
      const isLate = this.#clock.now() - attempt.begunMs >= LATE_MS;
      if (isLate) {
        this.#shun(key);
      }
      throw error;
    } finally {
      attempts.delete(attempt);
      if (attempts.size === 0) {
        this.#dialling.delete(key);
      }
    }
  }

  /** Who is no longer an endpoint is forgotten. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#shunnedUntil.keys()) {
      if (!keys.has(key)) {
        this.#shunnedUntil.delete(key);
      }
    }
  }

  #shun(key: string): void {
    this.#shunnedUntil.set(key, this.#clock.now() + SHUNNED_MS);
  }
}
