/** Retries and their grammar. */
import * as z from 'zod';
import type { HttpRetry } from '../types/networking.ts';
import { nearestName } from '../value/suggest.ts';
import { integer, leaf, type Report, reportType, reshape } from './build.ts';
import { duration } from './values.ts';

/** Conditions of `retryOn`; numbers are status codes besides. */
export const RETRY_CONDITIONS: readonly string[] = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'refused-stream',
  'retriable-4xx',
  'retriable-status-codes',
  'retriable-headers',
  'envoy-ratelimited',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
];

/** What `retries` without `retryOn` means. */
export const RETRY_CONDITIONS_DEFAULT: readonly string[] = [
  'connect-failure',
  'refused-stream',
  'unavailable',
  'cancelled',
  'retriable-status-codes',
];

type Conditions = Pick<HttpRetry, 'retryOn' | 'retriableStatusCodes'>;

const conditions = leaf<Conditions>(
  (raw, report) => {
    if (typeof raw === 'string') return parseRetryOn(raw, report);
    reportType(raw, 'a string of conditions, separated by commas', report);
    return undefined;
  },
  ({ retryOn, retriableStatusCodes }) => [...retryOn, ...retriableStatusCodes].join(','),
  { type: 'string' },
);

const written = z.strictObject({
  attempts: integer(0).default(0),
  perTryTimeout: duration().exactOptional(),
  retryOn: conditions.exactOptional(),
  retryIgnorePreviousHosts: z.boolean().default(true),
  backoff: duration().exactOptional(),
});

const DEFAULT: Conditions = { retryOn: RETRY_CONDITIONS_DEFAULT, retriableStatusCodes: [] };

export const httpRetry: z.ZodType<HttpRetry> = reshape<z.output<typeof written>, HttpRetry>(
  written,
  ({ perTryTimeout, retryOn, backoff, ...rest }) => ({
    ...rest,
    ...(retryOn ?? DEFAULT),
    ...(perTryTimeout === undefined ? {} : { perTryTimeoutMs: perTryTimeout }),
    ...(backoff === undefined ? {} : { backoffMs: backoff }),
  }),
  ({ perTryTimeoutMs, retryOn, retriableStatusCodes, backoffMs, ...rest }) => ({
    ...rest,
    retryOn: { retryOn, retriableStatusCodes },
    ...(perTryTimeoutMs === undefined ? {} : { perTryTimeout: perTryTimeoutMs }),
    ...(backoffMs === undefined ? {} : { backoff: backoffMs }),
  }),
);

/** Undefined after a report. */
function parseRetryOn(list: string, report: Report): Conditions | undefined {
  const tokens = list
    .split(',')
    .map((token) => token.trim())
    .filter((token) => token !== '');
  const retryOn: string[] = [];
  const retriableStatusCodes: number[] = [];
  let isKnown = true;
  for (const token of tokens) {
    if (/^[1-5]\d\d$/.test(token)) retriableStatusCodes.push(Number(token));
    else if (RETRY_CONDITIONS.includes(token)) retryOn.push(token);
    else {
      isKnown = false;
      reportUnknown(token, report);
    }
  }
  if (!isKnown) return undefined;
  if (tokens.length === 0) return DEFAULT;
  if (retriableStatusCodes.length > 0 && !retryOn.includes('retriable-status-codes')) {
    retryOn.push('retriable-status-codes');
  }
  return { retryOn, retriableStatusCodes };
}

function reportUnknown(token: string, report: Report): void {
  const near = nearestName(token, RETRY_CONDITIONS);
  report({
    code: 'INVALID_VALUE',
    message: `names the unknown retry condition "${token.slice(0, 40)}"`,
    allowed: `${RETRY_CONDITIONS.join(', ')}, or status codes`,
    ...(near === undefined ? {} : { fix: `write ${near}` }),
  });
}
