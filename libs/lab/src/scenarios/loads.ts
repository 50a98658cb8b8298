/** Requests that go on while something changes around them. Imported by tests only. */
import assert from 'node:assert/strict';
import type { Caller, LoadFailure } from './caller.ts';

/** Ends the loads; asserts that no request of them failed, and that each sent more than `least`. */
export type StopLoads = (least: number) => Promise<void>;

/** Far more than a request takes on a machine that others use too. */
export const TIMEOUT_MS = 30_000;

/** By name, what is asked for in a load. */
export const LOADS = { new: {}, kept: { reuse: true } } as const;

/** A GET every so often, in each load: `new` on a new connection each time, `kept` on connections that stay. */
export async function startLoads(
  client: Caller,
  url: string,
  everyMs: number,
  names: readonly (keyof typeof LOADS)[] = ['new', 'kept'],
): Promise<StopLoads> {
  for (const name of names) {
    await client.startLoad(name, { url, timeoutMs: TIMEOUT_MS, ...LOADS[name] }, everyMs);
  }
  return async (least) => {
    for (const name of names) {
      const { sent, ok, errors, failures } = await client.stopLoad(name);
      assert.deepEqual([ok, errors], [sent, {}], `${name}, first failures: ${tell(failures)}`);
      assert.ok(sent > least, `${name}: ${sent} requests`);
    }
  };
}

/** When the first requests failed, and how. */
export function tell(failures: readonly LoadFailure[]): string {
  const first = failures.slice(0, 5).map(({ begunAtMs, tookMs, error }) => {
    return `${new Date(begunAtMs).toISOString()} ${error} after ${tookMs} ms`;
  });
  return first.join('; ') || 'none';
}
