/**
 * Outlier detection of one cluster: counts errors in a row per endpoint, ejects, and lets back in.
 *
 * A state machine without a clock: `record` after each try, `sweep` once per interval. An endpoint is
 * ejected only while `100 × (ejected + 1) / endpoints ≤ maxEjectionPercent`, so with the default of 10
 * and fewer than 10 endpoints nothing is ever ejected.
 */
import type { OutlierDetection } from '@ambit/api';

export type OutlierOutcome =
  | { readonly kind: 'response'; readonly status: number }
  /** Connect failure, timeout or reset: no answer of the endpoint's own. */
  | { readonly kind: 'local-origin-failure' };

export type OutlierDetector =
  | 'consecutive-5xx'
  | 'consecutive-gateway'
  | 'consecutive-local-origin';

export interface Ejection {
  readonly key: string;
  readonly because: OutlierDetector;
  readonly untilMs: number;
}

const EJECTION_TIME_MAX_MS = 300_000;

interface HostState {
  consecutive5xx: number;
  consecutiveGateway: number;
  consecutiveLocalOrigin: number;
  ejectedAtMs: number | undefined;
  /** Ejections, less one for each interval without; the factor of the ejection time. */
  backoff: number;
}

export class OutlierState {
  readonly #settings: OutlierDetection;
  readonly #hosts = new Map<string, HostState>();
  #ejectedCount = 0;
  #skippedCount = 0;

  constructor(settings: OutlierDetection) {
    this.#settings = settings;
  }

  isEjected(key: string): boolean {
    return this.#hosts.get(key)?.ejectedAtMs !== undefined;
  }

  get ejectedCount(): number {
    return this.#ejectedCount;
  }

  /** Ejections that were due and that `maxEjectionPercent` did not allow. */
  get skippedCount(): number {
    return this.#skippedCount;
  }

  /** Endpoints of the cluster now. What is no longer there is forgotten, which is the bound of the state. */
  setHosts(keys: Iterable<string>): void {
    const present = new Set(keys);
    for (const [key, host] of this.#hosts) {
      if (present.has(key)) continue;
      if (host.ejectedAtMs !== undefined) this.#ejectedCount -= 1;
      this.#hosts.delete(key);
    }
    for (const key of present) {
      if (!this.#hosts.has(key)) this.#hosts.set(key, newHost());
    }
  }

  /** The ejection that this outcome caused, if any. Unknown keys are passed over. */
  record(key: string, outcome: OutlierOutcome, nowMs: number): Ejection | undefined {
    const host = this.#hosts.get(key);
    if (host === undefined || host.ejectedAtMs !== undefined) return undefined;
    const because = this.#count(host, outcome);
    return because === undefined ? undefined : this.#eject({ key, host, because, nowMs });
  }

  /** Lets endpoints back in whose time is over; returns their keys. Once per `intervalMs`. */
  sweep(nowMs: number): readonly string[] {
    const returned: string[] = [];
    for (const [key, host] of this.#hosts) {
      if (host.ejectedAtMs === undefined) {
        host.backoff = Math.max(0, host.backoff - 1);
      } else if (nowMs >= host.ejectedAtMs + this.#ejectionTimeMs(host)) {
        this.#hosts.set(key, { ...newHost(), backoff: host.backoff });
        this.#ejectedCount -= 1;
        returned.push(key);
      }
    }
    return returned;
  }

  /** The detector whose threshold was reached just now. */
  #count(host: HostState, outcome: OutlierOutcome): OutlierDetector | undefined {
    const settings = this.#settings;
    if (outcome.kind === 'local-origin-failure' && settings.splitExternalLocalOriginErrors) {
      host.consecutiveLocalOrigin += 1;
      const reached = host.consecutiveLocalOrigin === settings.consecutiveLocalOriginFailures;
      return reached ? 'consecutive-local-origin' : undefined;
    }
    const status = outcome.kind === 'response' ? outcome.status : 503;
    const is5xx = status >= 500 && status <= 599;
    const isGateway = status >= 502 && status <= 504;
    host.consecutive5xx = is5xx ? host.consecutive5xx + 1 : 0;
    host.consecutiveGateway = isGateway ? host.consecutiveGateway + 1 : 0;
    if (outcome.kind === 'response') host.consecutiveLocalOrigin = 0;
    if (isGateway && host.consecutiveGateway === settings.consecutiveGatewayErrors) {
      return 'consecutive-gateway';
    }
    return is5xx && host.consecutive5xx === settings.consecutive5xxErrors
      ? 'consecutive-5xx'
      : undefined;
  }

  #eject(candidate: {
    readonly key: string;
    readonly host: HostState;
    readonly because: OutlierDetector;
    readonly nowMs: number;
  }): Ejection | undefined {
    const { key, host, because, nowMs } = candidate;
    const share = (100 * (this.#ejectedCount + 1)) / this.#hosts.size;
    if (share > this.#settings.maxEjectionPercent) {
      this.#skippedCount += 1;
      // Counting starts again, so that the endpoint is a candidate again when others have come back.
      Object.assign(host, { ...newHost(), backoff: host.backoff });
      return undefined;
    }
    host.ejectedAtMs = nowMs;
    host.backoff += 1;
    this.#ejectedCount += 1;
    return { key, because, untilMs: nowMs + this.#ejectionTimeMs(host) };
  }

  #ejectionTimeMs(host: HostState): number {
    const base = this.#settings.baseEjectionTimeMs;
    return Math.min(base * Math.max(1, host.backoff), Math.max(EJECTION_TIME_MAX_MS, base));
  }
}

function newHost(): HostState {
  return {
    consecutive5xx: 0,
    consecutiveGateway: 0,
    consecutiveLocalOrigin: 0,
    ejectedAtMs: undefined,
    backoff: 0,
  };
}
