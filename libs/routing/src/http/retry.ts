/**
 * Whether and when a failed request is tried again, as decisions without clock or randomness.
 *
 * A request is never retried once its response has begun to reach the client, when its body cannot be
 * replayed, or when the proxy itself refused it (overflow). `attempts` counts *re*-tries.
 */
import type { HttpRetry, RequestDefaults } from '@ambit/api';

export type RetryCondition =
  | '5xx'
  | 'gateway-error'
  | 'reset'
  | 'reset-before-request'
  | 'connect-failure'
  | 'refused-stream'
  | 'retriable-4xx'
  | 'retriable-status-codes'
  | 'envoy-ratelimited'
  | 'cancelled'
  | 'deadline-exceeded'
  | 'internal'
  | 'resource-exhausted'
  | 'unavailable';

export interface RetryPolicy {
  /** Retries after the first try; 0 turns retries off. */
  readonly attempts: number;
  readonly perTryTimeoutMs?: number;
  readonly conditions: ReadonlySet<string>;
  readonly statusCodes: ReadonlySet<number>;
  readonly backoffBaseMs: number;
  /** Prefer endpoints that this request has not tried. */
  readonly ignorePreviousHosts: boolean;
}

export const RETRY_BACKOFF_BASE_MS = 25;
const BACKOFF_CAP_FACTOR = 10;

const DEFAULT_CONDITIONS: readonly RetryCondition[] = [
  'connect-failure',
  'refused-stream',
  'unavailable',
  'cancelled',
  'retriable-status-codes',
];

/** The mesh default: 2 retries of what surely did not reach an application. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  attempts: 2,
  conditions: new Set<string>(DEFAULT_CONDITIONS),
  statusCodes: new Set(),
  backoffBaseMs: RETRY_BACKOFF_BASE_MS,
  ignorePreviousHosts: true,
};

export function compileRetry(retry: HttpRetry): RetryPolicy {
  const conditions = retry.retryOn.length === 0 ? DEFAULT_CONDITIONS : retry.retryOn;
  const withCodes = retry.retriableStatusCodes.length > 0 ? ['retriable-status-codes'] : [];
  return {
    attempts: retry.attempts,
    ...(retry.perTryTimeoutMs === undefined ? {} : { perTryTimeoutMs: retry.perTryTimeoutMs }),
    conditions: new Set<string>([...conditions, ...withCodes]),
    statusCodes: new Set(retry.retriableStatusCodes),
    backoffBaseMs: retry.backoffMs ?? RETRY_BACKOFF_BASE_MS,
    ignorePreviousHosts: retry.retryIgnorePreviousHosts,
  };
}

/** What a route says of time and retries, else what its host's DestinationRule says, else the mesh default. */
export function requestSettings(
  route: { readonly timeoutMs?: number; readonly retry?: RetryPolicy },
  defaults: RequestDefaults | undefined,
): { readonly timeoutMs?: number; readonly retry: RetryPolicy } {
  const timeoutMs = route.timeoutMs ?? defaults?.timeoutMs ?? 0;
  const retry = route.retry ?? hostRetry(defaults?.retries) ?? DEFAULT_RETRY_POLICY;
  return timeoutMs === 0 ? { retry } : { timeoutMs, retry };
}

const hostRetries = new WeakMap<HttpRetry, RetryPolicy>();

function hostRetry(retry: HttpRetry | undefined): RetryPolicy | undefined {
  let policy = retry && hostRetries.get(retry);
  if (retry !== undefined && policy === undefined) {
    policy = compileRetry(retry);
    hostRetries.set(retry, policy);
  }
  return policy;
}

/** How a try ended. */
export type TryOutcome =
  | {
      readonly kind: 'response';
      readonly status: number;
      /** `grpc-status` in the headers (a trailers-only response). */
      readonly grpcStatus?: number;
      readonly isRateLimited?: boolean;
    }
  | { readonly kind: 'connect-failure' }
  /** `headersSent`: of the request. `refused`: REFUSED_STREAM, or GOAWAY below the stream's id. */
  | { readonly kind: 'reset'; readonly headersSent: boolean; readonly refused: boolean }
  | { readonly kind: 'per-try-timeout' }
  /** Refused by this proxy's own limits. */
  | { readonly kind: 'overflow' };

export interface RetryQuery {
  readonly policy: RetryPolicy;
  /** Retries made so far. */
  readonly retries: number;
  readonly outcome: TryOutcome;
  readonly isBodyReplayable: boolean;
  readonly hasResponseStarted: boolean;
  /** What remains of the route's timeout; absent: none is set. */
  readonly remainingMs?: number;
}

export type RetryDecision =
  | { readonly retry: true }
  | {
      readonly retry: false;
      readonly why: 'not-retriable' | 'exhausted' | 'started' | 'not-replayable' | 'deadline';
      /** URX: it would have been tried again, had there been attempts left. */
      readonly flag?: 'URX';
    };

/** The concurrent limit (`maxRetries`, retry budget) is asked separately, when this says yes. */
export function shouldRetry(query: RetryQuery): RetryDecision {
  const { policy, retries, outcome } = query;
  if (policy.attempts <= 0 || !isRetriable(policy, outcome)) {
    return { retry: false, why: 'not-retriable' };
  }
  if (query.hasResponseStarted) return { retry: false, why: 'started' };
  if (!query.isBodyReplayable) return { retry: false, why: 'not-replayable' };
  if (query.remainingMs !== undefined && query.remainingMs <= 0) {
    return { retry: false, why: 'deadline' };
  }
  if (retries >= policy.attempts) return { retry: false, why: 'exhausted', flag: 'URX' };
  return { retry: true };
}

/** Full jitter: uniform in [0, (2^N − 1) × base), at most 10 × base. `retry` counts from 1. */
export function backoffMs(policy: RetryPolicy, retry: number, random: () => number): number {
  const spread = (2 ** Math.min(retry, 30) - 1) * policy.backoffBaseMs;
  return Math.min(random() * spread, policy.backoffBaseMs * BACKOFF_CAP_FACTOR);
}

/** Retries in flight that a budget allows: a share of what is active, but some always. */
export function retryBudgetLimit(budget: {
  readonly percent: number;
  readonly minRetryConcurrency: number;
  readonly activeRequests: number;
}): number {
  const share = Math.floor((budget.activeRequests * budget.percent) / 100);
  return Math.max(budget.minRetryConcurrency, share);
}

/** What is left for one try: the shorter of the per-try timeout and the rest of the route's. */
export function tryTimeoutMs(policy: RetryPolicy, remainingMs?: number): number | undefined {
  const { perTryTimeoutMs } = policy;
  if (perTryTimeoutMs === undefined || perTryTimeoutMs === 0) return remainingMs;
  return remainingMs === undefined ? perTryTimeoutMs : Math.min(perTryTimeoutMs, remainingMs);
}

const GRPC_CONDITIONS: ReadonlyMap<number, RetryCondition> = new Map([
  [1, 'cancelled'],
  [4, 'deadline-exceeded'],
  [8, 'resource-exhausted'],
  [13, 'internal'],
  [14, 'unavailable'],
]);

function isRetriable(policy: RetryPolicy, outcome: TryOutcome): boolean {
  if (outcome.kind === 'response') return isRetriableResponse(policy, outcome);
  const has = (condition: RetryCondition): boolean => policy.conditions.has(condition);
  const hasNoResponse = has('5xx') || has('gateway-error');
  switch (outcome.kind) {
    case 'overflow':
      return false;
    case 'connect-failure':
      return hasNoResponse || has('connect-failure') || has('reset-before-request') || has('reset');
    case 'per-try-timeout':
      return hasNoResponse || has('reset');
    case 'reset':
      if (outcome.refused && has('refused-stream')) return true;
      if (!outcome.headersSent && has('reset-before-request')) return true;
      return hasNoResponse || has('reset');
  }
}

/** Of each response this is asked: what it says comes first, the policy's sets only where it says something. */
function isRetriableResponse(
  { conditions, statusCodes }: RetryPolicy,
  { status, grpcStatus, isRateLimited }: Extract<TryOutcome, { kind: 'response' }>,
): boolean {
  if (status >= 500 && status <= 599 && conditions.has('5xx')) return true;
  if (status >= 502 && status <= 504 && conditions.has('gateway-error')) return true;
  if (status === 409 && conditions.has('retriable-4xx')) return true;
  if (isRateLimited === true && conditions.has('envoy-ratelimited')) return true;
  if (statusCodes.size > 0 && statusCodes.has(status) && conditions.has('retriable-status-codes')) {
    return true;
  }
  const condition = grpcStatus === undefined ? undefined : GRPC_CONDITIONS.get(grpcStatus);
  return condition !== undefined && conditions.has(condition);
}
