/** Phase `retry`: whether a try is the last one. All decisions are routing's. */
import { type RetryPolicy, shouldRetry, type TryOutcome } from '@ambit/routing';
import type { HttpError } from '../errors.ts';
import { readGrpcStatus } from '../grpc-status.ts';
import type { Transaction } from '../transaction.ts';
import type { ClusterState } from '../upstream/cluster-state.ts';
import type { TryResponse } from '../upstream/try.ts';

export interface TriedOnce {
  readonly state: ClusterState;
  readonly retry: RetryPolicy;
  /** Of the route's timeout. Undefined: none is set, or it has not begun. */
  readonly remainingMs: number | undefined;
}

/** True: another try is to be made, and a place among the cluster's retries is held for it. */
export function takesRetry(tx: Transaction, outcome: TryOutcome, tried: TriedOnce): boolean {
  const { state, retry, remainingMs } = tried;
  const query = {
    policy: retry,
    retries: tx.attempts - 1,
    outcome,
    isBodyReplayable: tx.body?.isReplayable ?? true,
    hasResponseStarted: false,
  };
  const decision = shouldRetry(remainingMs === undefined ? query : { ...query, remainingMs });
  if (decision.retry) {
    return state.breaker.hold('retries');
  }
  if (decision.flag !== undefined) {
    tx.flag(decision.flag);
  }
  return false;
}

export function outcomeOfResponse({ status, headers }: TryResponse): TryOutcome {
  const grpcStatus = readGrpcStatus(headers.get('grpc-status'));
  const isRateLimited = headers.has('x-envoy-ratelimited');
  return grpcStatus === undefined
    ? { kind: 'response', status, isRateLimited }
    : { kind: 'response', status, grpcStatus, isRateLimited };
}

/** Undefined: ends the request, whatever the retry policy says. */
export function outcomeOfError(error: HttpError): TryOutcome | undefined {
  const { code } = error;
  if (code === 'HTTP_CONNECT_FAILURE') {
    return { kind: 'connect-failure' };
  }
  if (code === 'HTTP_UPSTREAM_RESET' || code === 'HTTP_UPSTREAM_CLOSED') {
    return { kind: 'reset', headersSent: error.headersSent, refused: error.refused };
  }
  if (code === 'HTTP_TRY_TIMEOUT') {
    return { kind: 'per-try-timeout' };
  }
  return code === 'HTTP_OVERFLOW' ? { kind: 'overflow' } : undefined;
}
