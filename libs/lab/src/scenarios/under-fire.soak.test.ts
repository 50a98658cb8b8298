/**
 * Under fire, for as long as `npm run test:soak -- --minutes N` says: agents that are killed over and over, hand-overs at a
 * thousand connections, a million requests. Each says what it saw. Waypoints are `under-fire-waypoint.soak.test.ts`;
 * certificates of a minute while the root changes are `certificates.waiting.lab.test.ts`, for as long.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientYaml, echoYaml, namespaceYaml, serviceYaml } from './bed.ts';
import { killOverAndOver, residentMegabytes, sendMillion, URL, world } from './fire.ts';
import { startLoads } from './loads.ts';

const WORLD = [
  namespaceYaml('shop'),
  echoYaml({ name: 'web', node: 'node2' }),
  serviceYaml('web'),
  clientYaml({ name: 'client', node: 'node1' }),
].join('');

const CONNECTIONS = 1_000;
const GROWTH_MEGABYTES_MAX = 10;

describe('a peer agent that is killed every 10 s', () => {
  const here = world(WORLD);

  it('costs only requests that meet its absence, and they say why in time', async (context) => {
    await killOverAndOver(context, here, 'agent/node2');
  });
});

describe(`a hand-over at ${CONNECTIONS} connections`, () => {
  const { bed, client } = world(WORLD, {
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
  const here = world(WORLD);

  it('leave the memory of agents as it was', async (context) => {
    const agents = ['agent/node1', 'agent/node2'].map((name) => ({
      name,
      megabytes: async () => await residentMegabytes(here.bed().lab, name),
      everyRequests: 100_000,
      whenIdle: true,
      growthMax: GROWTH_MEGABYTES_MAX,
    }));
    // A connection each: a tunnel's stream is opened and closed for every request.
    await sendMillion(context, here, [{ of: 1, request: { url: URL } }], agents);
  });
});
