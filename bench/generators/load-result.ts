/** What every generator of requests tells, and what makes its sample worthless. */

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Broken connections, timeouts and answers that are not 2xx or 3xx. */
  readonly failed: number;
}

/** A proxy that refuses is cheap: one failed request in a thousand makes the sample void. */
const FAILED_SHARE_MAX = 0.001;

/** Throws unless practically every request was answered. */
export function requireAnswered(result: LoadResult): LoadResult {
  if (result.requests === 0 || result.failed > result.requests * FAILED_SHARE_MAX) {
    throw new Error(`${result.failed} of ${result.requests} requests failed`);
  }
  return result;
}
