import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '../testing.ts';
import type { RetryPolicy, RetryQuery, TryOutcome } from './retry.ts';
import {
  backoffMs,
  compileRetry,
  DEFAULT_RETRY_POLICY,
  requestSettings,
  retryBudgetLimit,
  shouldRetry,
  tryTimeoutMs,
} from './retry.ts';

function policy(retryOn: readonly string[], codes: readonly number[] = []): RetryPolicy {
  return compileRetry({
    attempts: 2,
    retryOn,
    retriableStatusCodes: codes,
    retryIgnorePreviousHosts: true,
  });
}

function ask(
  over: Partial<RetryQuery> & Pick<RetryQuery, 'outcome'>,
): ReturnType<typeof shouldRetry> {
  return shouldRetry({
    policy: DEFAULT_RETRY_POLICY,
    retries: 0,
    isBodyReplayable: true,
    hasResponseStarted: false,
    ...over,
  });
}

const response = (status: number, grpcStatus?: number): TryOutcome => ({
  kind: 'response',
  status,
  ...(grpcStatus === undefined ? {} : { grpcStatus }),
});
const reset = (headersSent: boolean, refused = false): TryOutcome => ({
  kind: 'reset',
  headersSent,
  refused,
});
const connectFailure: TryOutcome = { kind: 'connect-failure' };
const perTryTimeout: TryOutcome = { kind: 'per-try-timeout' };

describe('shouldRetry', () => {
  const grammar: readonly [string, TryOutcome, boolean][] = [
    ['5xx', response(500), true],
    ['5xx', response(499), false],
    ['5xx', reset(true), true],
    ['5xx', connectFailure, true],
    ['5xx', perTryTimeout, true],
    ['gateway-error', response(502), true],
    ['gateway-error', response(504), true],
    ['gateway-error', response(500), false],
    ['gateway-error', reset(true), true],
    ['reset', reset(true), true],
    ['reset', perTryTimeout, true],
    ['reset', response(503), false],
    ['reset-before-request', reset(false), true],
    ['reset-before-request', reset(true), false],
    ['connect-failure', connectFailure, true],
    ['connect-failure', reset(true), false],
    ['refused-stream', reset(true, true), true],
    ['refused-stream', reset(true), false],
    ['retriable-4xx', response(409), true],
    ['retriable-4xx', response(404), false],
    ['retriable-status-codes', response(503), false],
    ['cancelled', response(200, 1), true],
    ['deadline-exceeded', response(200, 4), true],
    ['internal', response(200, 13), true],
    ['resource-exhausted', response(200, 8), true],
    ['unavailable', response(200, 14), true],
    ['unavailable', response(200, 13), false],
    ['unavailable', response(200), false],
    ['envoy-ratelimited', response(429), false],
  ];
  for (const [token, outcome, expected] of grammar) {
    it(`${token}: ${expected ? 'retries' : 'keeps'} ${JSON.stringify(outcome)}`, () => {
      assert.equal(ask({ policy: policy([token]), outcome }).retry, expected);
    });
  }

  it('takes status codes written among the conditions', () => {
    assert.equal(ask({ policy: policy([], [503]), outcome: response(503) }).retry, true);
    assert.equal(ask({ policy: policy([], [503]), outcome: response(502) }).retry, false);
  });

  it('by default retries only what reached no application', () => {
    assert.equal(ask({ outcome: connectFailure }).retry, true);
    assert.equal(ask({ outcome: reset(true, true) }).retry, true);
    assert.equal(ask({ outcome: reset(true) }).retry, false);
    assert.equal(ask({ outcome: response(503) }).retry, false);
  });

  it('stops for every other reason, and says which', () => {
    const outcome = connectFailure;
    assert.deepEqual(ask({ outcome, retries: 2 }), {
      retry: false,
      why: 'exhausted',
      flag: 'URX',
    });
    assert.deepEqual(ask({ outcome, hasResponseStarted: true }), { retry: false, why: 'started' });
    const unreplayable = ask({ outcome, isBodyReplayable: false });
    assert.deepEqual(unreplayable, { retry: false, why: 'not-replayable' });
    assert.deepEqual(ask({ outcome, remainingMs: 0 }), { retry: false, why: 'deadline' });
    const off = { ...DEFAULT_RETRY_POLICY, attempts: 0 };
    assert.deepEqual(ask({ outcome, policy: off }), { retry: false, why: 'not-retriable' });
    const overflow = ask({ outcome: { kind: 'overflow' }, policy: policy(['5xx']) });
    assert.deepEqual(overflow, { retry: false, why: 'not-retriable' });
  });
});

describe('backoffMs', () => {
  it('is uniform in [0, (2^N − 1) × 25), at most 250', () => {
    const random = seededRandom(7);
    for (const [retry, bound] of [
      [1, 25],
      [2, 75],
      [3, 175],
      [4, 250],
      [50, 250],
    ] as const) {
      for (let draw = 0; draw < 200; draw += 1) {
        const wait = backoffMs(DEFAULT_RETRY_POLICY, retry, random);
        assert.ok(wait >= 0 && wait <= bound, `retry ${retry} waited ${wait}`);
      }
    }
  });
});

describe('time and budget', () => {
  it('a try has the shorter of its own limit and the rest', () => {
    const limited = { ...DEFAULT_RETRY_POLICY, perTryTimeoutMs: 100 };
    assert.equal(tryTimeoutMs(limited, 50), 50);
    assert.equal(tryTimeoutMs(limited, 500), 100);
    assert.equal(tryTimeoutMs(limited), 100);
    assert.equal(tryTimeoutMs(DEFAULT_RETRY_POLICY), undefined);
  });

  it('route before host before mesh', () => {
    const host = {
      timeoutMs: 7,
      retries: {
        attempts: 9,
        retryOn: [],
        retriableStatusCodes: [],
        retryIgnorePreviousHosts: true,
      },
    };
    assert.deepEqual(requestSettings({}, undefined), { retry: DEFAULT_RETRY_POLICY });
    assert.equal(requestSettings({}, host).timeoutMs, 7);
    assert.equal(requestSettings({}, host).retry.attempts, 9);
    assert.equal(requestSettings({ timeoutMs: 0 }, host).timeoutMs, undefined);
    assert.equal(requestSettings({ retry: DEFAULT_RETRY_POLICY }, host).retry.attempts, 2);
  });

  it('a budget is a share of what is active, but some always', () => {
    const budget = { percent: 20, minRetryConcurrency: 3 };
    assert.equal(retryBudgetLimit({ ...budget, activeRequests: 5 }), 3);
    assert.equal(retryBudgetLimit({ ...budget, activeRequests: 100 }), 20);
  });
});
