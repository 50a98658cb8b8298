/**
 * A slice of `under-fire*.soak.test.ts` for every run: an agent that is killed twice, and hand-overs of agents and of a waypoint with a
 * hundred connections.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientYaml, echoYaml, namespaceYaml, serviceYaml } from './bed.ts';
import { world } from './fire.ts';
import { handOverAgent, handOverWaypoint } from './hand-over.ts';
import { killOverAndOver } from './kills.ts';
import { gatewayYaml } from './waypoints.ts';

/** `web` and `gated` are the same pod; the waypoint is before the second one. */
const WORLD = [
  namespaceYaml('shop'),
  echoYaml({ name: 'web', node: 'node2' }),
  serviceYaml('web'),
  serviceYaml('gated', 'shop', { selector: { app: 'web' } }, { 'istio.io/use-waypoint': 'gate' }),
  gatewayYaml('gate'),
  clientYaml({ name: 'client', node: 'node1' }),
].join('');

const SIZE = { connections: 100, everyMs: 50 };
/** Each of those that are asked on has its turn before the delay is over. */
const SHORT = {
  agent: { CONNECTION_TERMINATION_DEADLINE: '5s' },
  waypoint: { AMBIT_DRAIN_DELAY: '3s', CONNECTION_TERMINATION_DEADLINE: '6s' },
};

describe('under fire, a slice', () => {
  const here = world(WORLD, { extraEnv: SHORT });

  it('a waypoint hands over: no request fails, what lasts is kept to the deadline', async (context) => {
    await handOverWaypoint(context, here, 1, { ...SIZE, url: 'http://gated.shop/' });
  });

  for (const node of ['node1', 'node2']) {
    it(`the agent of ${node} hands over: no request fails, what lasts is kept to the deadline`, async (context) => {
      await handOverAgent(context, here, node, SIZE);
    });
  }

  it('a peer agent is killed: only requests that meet its absence fail, in time, and a log says why', async (context) => {
    const { givenUp } = await killOverAndOver(context, here, 'agent/node2', { times: 2 });
    assert.ok(givenUp > 0);
  });
});
