/**
 * Under fire: agents that are killed over and over, for as long as `npm run test:soak -- --minutes N` says, hand-overs at a
 * thousand connections, a million requests. Each says what it saw. Waypoints are `under-fire-waypoint.soak.test.ts`;
 * certificates of a minute while the root changes are `certificates.waiting.lab.test.ts`, for as long.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientYaml, echoYaml, namespaceYaml, serviceYaml } from './bed.ts';
import { residentMegabytes, sendMillion, URL, world } from './fire.ts';
import { AGENT_DRAIN, handOverAgent } from './hand-over.ts';
import { killOverAndOver } from './kills.ts';

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
    const { givenUp } = await killOverAndOver(context, here, 'agent/node2');
    assert.ok(givenUp > 0);
  });
});

describe(`a hand-over at ${CONNECTIONS} connections`, () => {
  const here = world(WORLD, { extraEnv: { agent: AGENT_DRAIN } });

  for (const node of ['node1', 'node2']) {
    it(`on ${node} fails no request and keeps what lasts to the deadline`, async (context) => {
      await handOverAgent(context, here, node, { connections: CONNECTIONS, everyMs: 20 });
    });
  }
});

describe('a million requests', () => {
  const here = world(WORLD);

  it('leave the memory of agents as it was', async (context) => {
    const agents = ['agent/node1', 'agent/node2'].map((name) => ({
      name,
      megabytes: async () => await residentMegabytes(here.bed().lab, name),
      whenIdle: true,
      growthMax: GROWTH_MEGABYTES_MAX,
    }));
    // A connection each: a tunnel's stream is opened and closed for every request.
    await sendMillion(context, here, [{ of: 1, request: { url: URL } }], agents);
  });
});
