import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_RETRY_POLICY, type RetryPolicy, shouldRetry } from '@ambit/routing';
import { readGrpcStatus } from './grpc-status.ts';
import { HeaderList } from './headers.ts';
import { outcomeOfResponse } from './phases/retry.ts';
import type { TryResponse } from './upstream/try.ts';

const GOOD = [
  ['0', 0],
  ['1', 1],
  ['14', 14],
  ['16', 16],
  ['99', 99],
] as const;
const BAD = [
  '',
  ' ',
  '014',
  '00',
  '100',
  '0x0',
  '0xe',
  '0b1110',
  '0o16',
  ' 14',
  '14 ',
  '14\t',
  '+14',
  '-0',
  '-14',
  '1e1',
  '14.0',
  '1_4',
  '14n',
  '14,14',
  '14, 0',
  'Infinity',
  'NaN',
  'UNAVAILABLE',
  '\u0661\u0664',
];

/** Asked for every condition that a grpc-status can be. */
const POLICY: RetryPolicy = {
  ...DEFAULT_RETRY_POLICY,
  conditions: new Set([
    'cancelled',
    'deadline-exceeded',
    'internal',
    'resource-exhausted',
    'unavailable',
  ]),
};

/** What is made of an answer whose head has these values. */
function retriesFor(...values: readonly string[]): { readonly status: unknown; retry: boolean } {
  const headers = HeaderList.of(values.flatMap((value) => ['grpc-status', value]));
  const outcome = outcomeOfResponse({ status: 200, headers } as TryResponse);
  const { retry } = shouldRetry({
    policy: POLICY,
    retries: 0,
    outcome,
    isBodyReplayable: true,
    hasResponseStarted: false,
  });
  return { status: outcome.kind === 'response' ? outcome.grpcStatus : 'none', retry };
}

describe('grpc-status', () => {
  for (const [text, status] of GOOD) {
    it(`is ${text}`, () => {
      assert.equal(readGrpcStatus(text), status);
      const retry = [1, 14].includes(status);
      assert.deepEqual(retriesFor(text), { status, retry });
    });
  }

  for (const text of BAD) {
    it(`is not ${JSON.stringify(text)}, for which nothing is tried again`, () => {
      assert.equal(readGrpcStatus(text), undefined);
      assert.deepEqual(retriesFor(text), { status: undefined, retry: false });
    });
  }

  it('is not there, or there twice', () => {
    assert.equal(readGrpcStatus(undefined), undefined);
    assert.deepEqual(retriesFor(), { status: undefined, retry: false });
    assert.deepEqual(retriesFor('14', '14'), { status: undefined, retry: false });
  });
});
