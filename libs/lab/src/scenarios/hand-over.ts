/**
 * An agent, or a waypoint, that hands over to the next one while many connections are held. Imported by tests only.
 *
 * Rule: no request fails. What lasts (TCP, what was upgraded, answers that still flow) is used until the first of it is cut off,
 * which is not before the deadline of the drain; what waits for its next request is ended in order before that.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Lab } from '../lab.ts';
import { waypointPods } from './bed.ts';
import type { Caller, HeldEnd, HeldKind } from './caller.ts';
import { URL, type World } from './fire.ts';
import { startLoads, TIMEOUT_MS } from './loads.ts';
import { gatewayYaml } from './waypoints.ts';

/** Time enough to use a thousand connections more than once. */
export const AGENT_DRAIN = { CONNECTION_TERMINATION_DEADLINE: '7s' };
/** As a cluster's delay. Both together are less than the lab's patience with a waypoint that ends. */
export const WAYPOINT_DRAIN = { AMBIT_DRAIN_DELAY: '5s', CONNECTION_TERMINATION_DEADLINE: '9s' };

/** Two clocks measure the deadline. */
export const CLOCKS_MS = 100;
const PING_EVERY_MS = 500;
/** For what takes a second on a machine that nobody else uses. */
const PATIENCE_MS = 60_000;
const LEAST_REQUESTS = 10;
export const CUT_OFF = 'connections were cut off by the drain';

const HTTP_PORT = 80;
const TCP_PORT = 9_000;
/** Of the connections through a waypoint; the others of HTTP/1.1 are asked on in turn. */
const SHARES = { tcp: 0.3, upgraded: 0.3, streaming: 0.1, idle: 0.1 } as const;

export interface Drain {
  /** Wall time. */
  readonly atMs: number;
  readonly deadlineMs: number;
}

/** Of all that have written a log. */
export function drainsIn(log: string): readonly Drain[] {
  const lines = log.split('\n').filter((line) => line.includes('"message":"draining"'));
  return lines.map((line) => {
    const { time, deadlineMs } = JSON.parse(line) as { time: string; deadlineMs: number };
    return { atMs: Date.parse(time), deadlineMs };
  });
}

export interface HandOverOptions {
  readonly connections: number;
  readonly url?: string;
  /** Of each load. */
  readonly everyMs: number;
}

/** Replaces the agent of a node. */
export async function handOverAgent(
  context: TestContext,
  { bed, client }: World,
  node: string,
  { connections, url = URL, everyMs }: HandOverOptions,
): Promise<void> {
  const { lab } = bed();
  const names = await holdAll(client(), url, 'tcp', connections);
  await useAll(client(), names);
  const stopNew = await startLoads(client(), url, everyMs, ['new']);
  const stopKept = await startLoads(client(), url, everyMs, ['kept']);
  const drains = drainsIn(lab.logs(`agent/${node}`)).length;
  const replaced = lab.mesh?.replaceAgent(node, 'when served');
  const drain = await drainAfter(lab, `agent/${node}`, drains);
  await useAll(client(), names);
  // What is on a connection that stays is cut off with it.
  await stopKept(LEAST_REQUESTS);
  const { rounds } = await keptToDeadline(lab, client(), names, drain);
  await replaced;
  await stopNew(LEAST_REQUESTS);
  await client().release();
  await lab.ready(PATIENCE_MS);
  context.diagnostic(
    `report: ${connections} connections through the agent of ${node} kept to its deadline, each used ${rounds} times on the way`,
  );
}

/** Replaces the pod of the waypoint `shop/gate`, as an update of its Deployment does. `round` is another one each time. */
export async function handOverWaypoint(
  context: TestContext,
  { bed, client }: World,
  round: number,
  { connections, url = URL, everyMs }: HandOverOptions,
): Promise<void> {
  const { lab } = bed();
  const isServed = async (): Promise<boolean> => {
    const { status, body } = await client().http({ url });
    return status === 200 && body.includes('/sa/gate');
  };
  await lab.waitFor(isServed, { what: 'the waypoint', timeoutMs: PATIENCE_MS });
  const [old] = waypointPods(lab);
  assert.ok(old !== undefined);
  const held = {} as Record<HeldKind, readonly string[]>;
  for (const as of ['tcp', 'upgraded', 'streaming', 'idle'] as const) {
    held[as] = await holdAll(client(), url, as, connections * SHARES[as]);
  }
  const lasting = [...held.tcp, ...held.upgraded, ...held.streaming];
  await useAll(client(), lasting);
  const asked = connections - lasting.length - held.idle.length;
  const request = { url, timeoutMs: TIMEOUT_MS, reuse: true };
  await client().startLoad('asked', request, everyMs, asked);
  await lab.waitFor(async () => (await client().lookAtLoad('asked')).connections === asked, {
    what: `${asked} connections that are asked on`,
    timeoutMs: PATIENCE_MS,
  });
  const stopNew = await startLoads(client(), url, everyMs, ['new']);
  lab.apply(gatewayYaml('gate', { annotations: { round: String(round) } }));
  const drain = await drainAfter(lab, old.key, 0);
  const { rounds, firstEndMs } = await keptToDeadline(lab, client(), lasting, drain);
  const log = lab.logs(old.key);
  const isGone = (): boolean => waypointPods(lab).every((pod) => pod !== old);
  await lab.waitFor(isGone, { what: 'the end of the first one', timeoutMs: PATIENCE_MS });
  assert.ok(await isServed());
  const { sent, ok, errors } = await client().stopLoad('asked');
  assert.deepEqual([ok, errors], [sent, {}], `on ${asked} connections that are asked on`);
  await stopNew(LEAST_REQUESTS);
  const ends = await client().ends();
  for (const name of held.idle) {
    const { error, endedAtMs = Infinity } = ends[name] ?? {};
    assert.equal(error, 'CLOSED', name);
    assert.ok(endedAtMs <= firstEndMs, `${name} ended after what lasts`);
  }
  // Nothing else was on its way when the deadline came.
  assert.match(log, new RegExp(`"${CUT_OFF}","count":${lasting.length}\\b`));
  await client().release();
  context.diagnostic(
    `report: of ${connections} connections through a waypoint ${lasting.length} kept to its deadline, each used ${rounds} times on the way, ${held.idle.length} ended in order, ${asked} asked on ${sent} times without a failure`,
  );
}

/** Opens so many of a kind, all together, and gives their names. */
async function holdAll(
  client: Caller,
  url: string,
  as: HeldKind,
  count: number,
): Promise<readonly string[]> {
  const { hostname } = new globalThis.URL(url);
  const port = as === 'tcp' ? TCP_PORT : HTTP_PORT;
  const names = Array.from({ length: count }, (_, n) => `${as}-${n}`);
  const held = await Promise.all(
    names.map(async (name) => ({ name, ...(await client.hold(name, hostname, port, as)) })),
  );
  assert.deepEqual(
    held.filter(({ ok }) => !ok),
    [],
  );
  return names;
}

async function useAll(client: Caller, names: readonly string[]): Promise<void> {
  assert.deepEqual(await unanswered(client, names), []);
}

/** Together, because a deadline waits for nobody. */
async function unanswered(client: Caller, names: readonly string[]) {
  const pings = names.map(async (name) => ({ name, ...(await client.ping(name)) }));
  return (await Promise.all(pings)).filter(({ ok }) => !ok);
}

/** The one after so many others that the log tells of. */
async function drainAfter(lab: Lab, name: string, others: number): Promise<Drain> {
  let drain: Drain | undefined;
  const isThere = (): boolean => {
    drain = drainsIn(lab.logs(name))[others];
    return drain !== undefined;
  };
  await lab.waitFor(isThere, { what: `a drain of ${name}`, timeoutMs: PATIENCE_MS });
  assert.ok(drain !== undefined);
  return drain;
}

/** Uses what lasts until the first of it is cut off. */
async function keptToDeadline(
  lab: Lab,
  client: Caller,
  names: readonly string[],
  { atMs, deadlineMs }: Drain,
): Promise<{ readonly rounds: number; readonly firstEndMs: number }> {
  let rounds = 0;
  let failed = await unanswered(client, names);
  while (failed.length === 0) {
    rounds += 1;
    assert.ok(Date.now() < atMs + deadlineMs + PATIENCE_MS, 'nothing is ever cut off');
    await lab.clock.sleep(PING_EVERY_MS);
    failed = await unanswered(client, names);
  }
  assert.deepEqual(
    failed.filter(({ error }) => error === 'TIMEOUT'),
    [],
  );
  let ends: Readonly<Record<string, HeldEnd>> = {};
  const isOver = async (): Promise<boolean> => {
    ends = await client.ends();
    return names.every((name) => name in ends);
  };
  await lab.waitFor(isOver, { what: 'the end of all that was held', timeoutMs: PATIENCE_MS });
  const firstEndMs = Math.min(...names.map((name) => ends[name]?.endedAtMs ?? 0));
  const keptMs = firstEndMs - atMs;
  assert.ok(keptMs >= deadlineMs - CLOCKS_MS, `cut off after ${keptMs} ms of ${deadlineMs}`);
  assert.ok(rounds > 0, 'nothing was used while it drained');
  return { rounds, firstEndMs };
}
