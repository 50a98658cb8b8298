/**
 * Agents that are killed under a load. Imported by tests only.
 *
 * Rule: what may fail then is what was on the agent when it was killed, and what a proxy has given up after its time to connect:
 * for each such request a log says so, and for what.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Lab } from '../lab.ts';
import { waypointPods } from './bed.ts';
import type { LoadFailure, LoadReport } from './caller.ts';
import { SOAK_MS, URL, type World } from './fire.ts';

/** How long who sends waits for a connection to a peer that is away. */
export const CONNECT_MS = 10_000;
/** Of those, that were over when the request began to wait. */
const EARLY_MS = 2_000;
/** Between the line in the log and what the client hears. */
const LINE_MS = 1_000;
/** Of a proxy that has waited for a peer's agent. */
const GIVEN_UP = /the peer's agent [a-z ]+ for [\d.]+ s \(asked/;

const KILL_EVERY_MS = 10_000;
/** So long that some cannot wait until it is back. */
const AWAY_MS = CONNECT_MS + 2_000;
/** From then until its pods are served again. */
const BACK_MS_MAX = 60_000;

/** From the signal until the process was gone. Wall time. */
export interface Kill {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Kills an agent and waits until it is gone; it is back at once, or stays away for so long. */
export async function killAgent(lab: Lab, name: string, awayMs = 0): Promise<Kill> {
  const agent = lab.mesh?.components.get(name);
  assert.ok(agent !== undefined);
  const { pid } = agent;
  const fromMs = Date.now();
  lab.kill(name);
  const stopped = awayMs > 0 ? agent.stop() : undefined;
  await lab.waitFor(() => agent.pid !== pid, { what: `the end of ${name}` });
  const toMs = Date.now();
  if (stopped !== undefined) {
    await stopped;
    await lab.clock.sleep(awayMs);
    agent.start();
  }
  return { fromMs, toMs };
}

/** What the proxies' logs have of connections and requests that they have given up. */
export function givenUp(lab: Lab): readonly string[] {
  const agents = [...(lab.mesh?.components.keys() ?? [])].filter((name) => name !== 'controller');
  return [...agents, ...waypointPods(lab).map(({ key }) => key)].flatMap((name) =>
    lab
      .logs(name)
      .split('\n')
      .filter((line) => GIVEN_UP.test(line)),
  );
}

/** Whether it was on an agent when that was killed. */
function wasOnIt({ begunAtMs, tookMs }: LoadFailure, kills: readonly Kill[]): boolean {
  return kills.some(({ fromMs, toMs }) => begunAtMs <= toMs && begunAtMs + tookMs >= fromMs);
}

/**
 * Whether the line may be about it: a waypoint names the request; an agent knows the client's port, but the kernel may have given the
 * connection another one on its way there, so of its lines the time is asked.
 */
function isAbout({ begunAtMs, tookMs, id }: LoadFailure, line: string): boolean {
  const { time = '', request_id } = JSON.parse(line) as { time?: string; request_id?: string };
  const isThen = Math.abs(Date.parse(time) - (begunAtMs + tookMs)) <= LINE_MS;
  return request_id === undefined ? isThen : request_id === id;
}

/** Of those that failed, each that might not; `lines` are of `givenUp`, and each speaks for one. */
export function unexplained(
  failures: readonly LoadFailure[],
  kills: readonly Kill[],
  lines: Iterable<string>,
): readonly LoadFailure[] {
  const left = new Set(lines);
  return failures.filter((failure) => {
    if (wasOnIt(failure, kills)) {
      return false;
    }
    const line = [...left].find((one) => isAbout(failure, one));
    return line === undefined || !left.delete(line) || failure.tookMs < CONNECT_MS - EARLY_MS;
  });
}

export interface KillsReport extends LoadReport {
  /** That failed after the time to connect, with a reason. */
  readonly givenUp: number;
}

export interface KillsOptions {
  readonly url?: string;
  /** Undefined: as often as there is time for. */
  readonly times?: number;
}

/**
 * Kills an agent every so often under a load, each request on a connection of its own; at last it stays away for longer than others
 * wait. Says what was seen. Asserts that whatever failed might, and that all are served again after each.
 */
export async function killOverAndOver(
  context: TestContext,
  { bed, client }: World,
  component: string,
  { url = URL, times }: KillsOptions = {},
): Promise<KillsReport> {
  const { lab } = bed();
  const kills: Kill[] = [];
  const lines = new Set<string>();
  // The client's own patience is longer than that of the mesh.
  await client().startLoad('new', { url, timeoutMs: 2 * CONNECT_MS }, 50);
  const isServed = async (): Promise<boolean> => (await client().http({ url })).status === 200;
  const kill = async (awayMs: number): Promise<void> => {
    kills.push(await killAgent(lab, component, awayMs));
    await lab.clock.sleep(awayMs > 0 ? 0 : KILL_EVERY_MS);
    // On a machine that others use an agent takes its time to start, and what was never there cannot be missed.
    const what = `service after a kill of ${component}`;
    await lab.waitFor(isServed, { what, timeoutMs: BACK_MS_MAX });
    // While they are there: logs are kept small.
    for (const line of givenUp(lab)) lines.add(line);
  };
  const until = performance.now() + SOAK_MS;
  while (times === undefined ? performance.now() < until : kills.length < times - 1) {
    await kill(0);
  }
  await kill(AWAY_MS);
  const report = await client().stopLoad('new');
  const { sent, ok, errors, failures, gapMs } = report;
  for (const line of givenUp(lab)) lines.add(line);
  const late = failures.filter((failure) => !wasOnIt(failure, kills)).length;
  context.diagnostic(
    `report: ${kills.length} kills of ${component}: ${ok} of ${sent} requests answered, longest gap ${gapMs.toFixed(0)} ms, ${late} given up after the time to connect, errors ${JSON.stringify(errors)}`,
  );
  assert.equal(failures.length, sent - ok, 'more failures than are told');
  const [first, ...others] = unexplained(failures, kills, lines);
  const at = kills.map(({ fromMs }) => fromMs).join();
  const what = `and ${others.length} more, kills at ${at}, ${lines.size} lines`;
  assert.ok(first === undefined, `${JSON.stringify(first)} ${what}`);
  return { ...report, givenUp: late };
}
