/**
 * Under fire, for as long as `npm run test:soak -- --minutes N` says: agents that are killed over and over, hand-overs at a
 * thousand connections, a million requests. Each says what it saw. Certificates of a minute while the root changes are
 * `certificates.waiting.lab.test.ts`, for as long.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml, serviceYaml } from './bed.ts';
import type { Caller } from './caller.ts';
import { startLoads } from './loads.ts';

const SOAK_MS = Number(process.env['AMBIT_SOAK_MINUTES'] ?? 1) * 60_000;
const URL = 'http://web.shop/';
const WORLD = [
  namespaceYaml('shop'),
  echoYaml({ name: 'web', node: 'node2' }),
  serviceYaml('web'),
  clientYaml({ name: 'client', node: 'node1' }),
].join('');

const KILL_EVERY_MS = 10_000;
/** From a kill until its pods are served again. */
const GAP_MS_MAX = 10_000;
const CONNECT_MS = 10_000;
/** What a busy machine adds. */
const SLACK_MS = 2_000;
const CONNECTIONS = 1_000;
const REQUESTS = 1_000_000;
const BATCH = 10_000;
/** Of resident memory, by a line through the second half of a run, for each million of requests. */
const GROWTH_MEGABYTES_MAX = 10;

interface World {
  readonly bed: () => Bed;
  readonly client: () => Caller;
}

/** A lab for the tests of a suite. */
function world(
  options: Parameters<typeof makeBed>[1] | (() => Parameters<typeof makeBed>[1]),
): World {
  let bed: Bed | undefined;
  let client: Caller | undefined;
  before(async () => {
    bed = await makeBed(WORLD, typeof options === 'function' ? options() : options);
    client = bed.caller('shop/client');
    await client.echo(URL);
  });
  after(async () => await bed?.[Symbol.asyncDispose]());
  const need = <T>(value: T | undefined): T => {
    assert.ok(value !== undefined);
    return value;
  };
  return { bed: () => need(bed), client: () => need(client) };
}

describe('a peer agent that is killed every 10 s', () => {
  const { bed, client } = world({});

  it('costs only requests that meet its absence, and they say why in time', async (context) => {
    const { lab } = bed();
    const kills: number[] = [];
    await client().startLoad('new', { url: URL, timeoutMs: 2 * CONNECT_MS }, 50);
    const until = performance.now() + SOAK_MS;
    while (performance.now() < until) {
      lab.kill('agent/node2');
      kills.push(Date.now());
      await lab.clock.sleep(KILL_EVERY_MS);
    }
    await lab.clock.sleep(GAP_MS_MAX);
    const { sent, ok, errors, failures, gapMs } = await client().stopLoad('new');
    context.diagnostic(
      `report: ${kills.length} kills: ${ok} of ${sent} requests answered, longest gap ${gapMs} ms, errors ${JSON.stringify(errors)}`,
    );
    // Each is on a connection of its own, and only one that was on the agent when it was killed may be lost.
    for (const { begunAtMs, tookMs, error } of failures) {
      const wasOnIt = kills.some((at) => begunAtMs <= at && begunAtMs + tookMs >= at);
      const isGivenUp = tookMs >= CONNECT_MS - SLACK_MS && tookMs <= CONNECT_MS + SLACK_MS;
      assert.ok(wasOnIt || isGivenUp, `${error} at ${begunAtMs}, kills at ${kills.join()}`);
    }
    assert.equal((await client().http({ url: URL })).status, 200);
  });
});

describe(`a hand-over at ${CONNECTIONS} connections`, () => {
  const { bed, client } = world({
    // Less than the lab's patience with a process that ends.
    extraEnv: { agent: { CONNECTION_TERMINATION_DEADLINE: '7s' } },
  });

  for (const node of ['node1', 'node2']) {
    it(`on ${node} fails no request and keeps what stays to the deadline`, async (context) => {
      const { lab } = bed();
      const names = Array.from({ length: CONNECTIONS }, (_, n) => `${node}-${n}`);
      const held = await Promise.all(
        names.map(async (name) => await client().hold(name, 'web.shop', 9000)),
      );
      assert.deepEqual(
        held.filter(({ ok }) => !ok),
        [],
      );
      const stopLoads = await startLoads(client(), URL, 20);
      const replaced = lab.mesh?.replaceAgent(node, 'when served');
      await lab.waitFor(() => lab.logs(`agent/${node}`).includes('"message":"draining"'), {
        what: 'the drain',
        timeoutMs: 30_000,
      });
      // Together, because the deadline waits for nobody.
      const pings = await Promise.all(names.map(async (name) => await client().ping(name)));
      const kept = pings.filter(({ ok }) => ok).length;
      await stopLoads(10);
      context.diagnostic(`report: ${kept} of ${CONNECTIONS} connections kept while it drained`);
      assert.equal(kept, CONNECTIONS);
      await client().release();
      await replaced;
      await lab.ready();
    });
  }
});

describe('a million requests', () => {
  const { bed, client } = world({});

  const megabytes = (component: string): number => {
    const pid = bed().lab.mesh?.components.get(component)?.pid;
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1]) / 1_024;
  };

  it('leave the memory of agents as it was', async (context) => {
    const agents = ['agent/node1', 'agent/node2'] as const;
    const samples: { readonly requests: number; readonly megabytes: readonly number[] }[] = [];
    const until = performance.now() + SOAK_MS;
    let requests = 0;
    while (requests < REQUESTS && (performance.now() < until || samples.length < 4)) {
      // A connection each: a tunnel's stream is opened and closed for every request.
      const { errors } = await client().many({ url: URL }, BATCH, 32);
      assert.deepEqual(errors, {});
      requests += BATCH;
      samples.push({ requests, megabytes: agents.map(megabytes) });
    }
    const half = samples.slice(samples.length / 2);
    for (const [index, agent] of agents.entries()) {
      const points = half.map((one) => [one.requests, one.megabytes[index] ?? 0] as const);
      const perMillion = slopeOf(points) * REQUESTS;
      context.diagnostic(
        `report: ${agent}: ${requests} requests, ${points.at(-1)?.[1].toFixed(1)} MB, slope ${perMillion.toFixed(2)} MB a million`,
      );
      // A line through few points says nothing.
      if (requests >= REQUESTS / 4) {
        assert.ok(perMillion < GROWTH_MEGABYTES_MAX, `${agent}: ${perMillion} MB a million`);
      }
    }
  });
});

/** Of the line of least squares. */
function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (pick: 0 | 1): number =>
    points.reduce((sum, point) => sum + point[pick], 0) / Math.max(1, points.length);
  const [x, y] = [mean(0), mean(1)];
  const above = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  const below = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return below === 0 ? 0 : above / below;
}
