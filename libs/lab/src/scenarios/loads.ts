/** Requests that go on while something changes around them. Imported by tests only. */
import assert from 'node:assert/strict';
import type { Lab } from '../lab.ts';
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

/** How long who sends waits for a connection to a peer that is away. */
export const CONNECT_MS = 10_000;
/** Of those, that were over when the request began to wait. */
const EARLY_MS = 2_000;

/** From the signal until the process was gone. Wall time. */
export interface Kill {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Kills an agent, and waits until it is gone. */
export async function killAgent(lab: Lab, name: string): Promise<Kill> {
  const agent = lab.mesh?.components.get(name);
  assert.ok(agent !== undefined);
  const { pid } = agent;
  const fromMs = Date.now();
  lab.kill(name);
  await lab.waitFor(() => agent.pid !== pid, { what: `the end of ${name}` });
  return { fromMs, toMs: Date.now() };
}

/** Whether it was on an agent when that was killed, or was given up by the mesh after its time: not by the client, which waits longer. */
export function isExplained(failure: LoadFailure, kills: readonly Kill[]): boolean {
  const { begunAtMs, tookMs, error } = failure;
  const endedAtMs = begunAtMs + tookMs;
  const wasOnIt = kills.some(({ fromMs, toMs }) => begunAtMs <= toMs && endedAtMs >= fromMs);
  return wasOnIt || (tookMs >= CONNECT_MS - EARLY_MS && error !== 'TIMEOUT');
}

/** When the first requests failed, and how. */
export function tell(failures: readonly LoadFailure[]): string {
  const first = failures.slice(0, 5).map(({ begunAtMs, tookMs, error }) => {
    return `${new Date(begunAtMs).toISOString()} ${error} after ${tookMs} ms`;
  });
  return first.join('; ') || 'none';
}
