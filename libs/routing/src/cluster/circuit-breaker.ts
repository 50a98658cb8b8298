/**
 * Limits of a cluster: connections, requests waiting for one, requests in flight, retries in flight.
 *
 * `hold` answers false at the bound, and the caller answers 503 with flag UO (TCP: closes). Every
 * `hold` that was true is followed by one `release`.
 */
import type { ConnectionPoolSettings } from '@ambit/api';

export type BreakerKind = 'connections' | 'pending' | 'requests' | 'retries';

export const OVERFLOW_BODY =
  'upstream connect error or disconnect/reset before headers. reset reason: overflow';

const NO_LIMIT = 2 ** 32 - 1;

export class CircuitBreaker {
  readonly #limits: Readonly<Record<BreakerKind, number>>;
  readonly #held: Record<BreakerKind, number> = emptyCounts();
  readonly #overflows: Record<BreakerKind, number> = emptyCounts();

  constructor({ tcp, http }: ConnectionPoolSettings) {
    this.#limits = {
      connections: tcp?.maxConnections ?? NO_LIMIT,
      pending: http?.http1MaxPendingRequests ?? NO_LIMIT,
      requests: http?.http2MaxRequests ?? NO_LIMIT,
      retries: http?.maxRetries ?? NO_LIMIT,
    };
  }

  hold(kind: BreakerKind): boolean {
    if (this.#held[kind] >= this.#limits[kind]) {
      this.#overflows[kind] += 1;
      return false;
    }
    this.#held[kind] += 1;
    return true;
  }

  release(kind: BreakerKind): void {
    if (this.#held[kind] === 0) throw new RangeError(`circuit breaker: "${kind}" released twice`);
    this.#held[kind] -= 1;
  }

  held(kind: BreakerKind): number {
    return this.#held[kind];
  }

  /** Refusals so far. */
  overflows(kind: BreakerKind): number {
    return this.#overflows[kind];
  }
}

function emptyCounts(): Record<BreakerKind, number> {
  return { connections: 0, pending: 0, requests: 0, retries: 0 };
}
