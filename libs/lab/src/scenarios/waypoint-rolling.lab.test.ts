/** A waypoint that follows another: both serve for a while, then the first is told to end, and nobody notices. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml } from './bed.ts';
import type { Caller } from './caller.ts';
import { startLoads } from './loads.ts';
import { gatewayYaml, serviceThroughYaml } from './waypoints.ts';

const URL = 'http://web.shop/';
const ROUNDS = 3;
/** Of each kind of client, after the first waypoint has ended. */
const REQUESTS = 10;

/** Its annotation is new in every round, and so is the template of its pods. */
const gateway = (round: number): string =>
  gatewayYaml('gate', { annotations: { round: String(round) } });

describe('a waypoint that follows another one', () => {
  let bed: Bed;
  let client: Caller;
  before(async () => {
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceThroughYaml('web', 'gate'),
        gateway(0),
        clientYaml({ name: 'client', node: 'node1' }),
      ].join(''),
      // Both together are less than the patience of the lab.
      {
        extraEnv: { waypoint: { AMBIT_DRAIN_DELAY: '2s', CONNECTION_TERMINATION_DEADLINE: '8s' } },
      },
    );
    client = bed.caller('shop/client');
    await bed.lab.waitFor(isServed, { what: 'the first waypoint', timeoutMs: 20_000 });
  });
  after(async () => await bed[Symbol.asyncDispose]());

  const isServed = async (): Promise<boolean> => {
    const { status, body } = await client.http({ url: URL });
    return status === 200 && body.includes('/sa/gate');
  };
  const waypointPods = (): readonly string[] =>
    bed.lab.cluster.pods.all.map(({ key }) => key).filter((key) => key.startsWith('shop/gate-'));

  for (let round = 1; round <= ROUNDS; round += 1) {
    it(`takes over under load, and no request fails (${round})`, async () => {
      const { lab } = bed;
      const [old] = waypointPods();
      const stopLoads = await startLoads(client, URL, 10);
      lab.apply(gateway(round));
      await lab.waitFor(() => waypointPods().length === 2, { what: 'a second one' });
      await lab.waitFor(() => waypointPods().length === 1, {
        what: 'the end of the first one',
        timeoutMs: 30_000,
      });
      assert.notEqual(waypointPods()[0], old);
      for (let sent = 0; sent < REQUESTS; sent += 1) assert.ok(await isServed());
      await stopLoads(REQUESTS);
    });
  }
});
