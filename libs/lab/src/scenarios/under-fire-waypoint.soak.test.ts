/**
 * A waypoint under fire: agents around it are killed over and over, for as long as `npm run test:soak -- --minutes N` says, it
 * hands over at a thousand connections, and a million requests go through it. Each says what it saw.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshExtraEnv } from '../mesh.ts';
import { clientYaml, echoYaml, namespaceYaml, serviceYaml } from './bed.ts';
import { heldMegabytes, residentMegabytes, sendMillion, world } from './fire.ts';
import { handOverWaypoint, WAYPOINT_DRAIN } from './hand-over.ts';
import { killOverAndOver } from './kills.ts';
import { gatewayYaml } from './waypoints.ts';

const WAYPOINT = 'waypoint/shop/gate';
const NODES = 3;
const CONNECTIONS = 1_000;
const HTTP_URL = 'http://web.shop/';
/** To the server by HTTP/2 too. */
const HTTP2_URL = 'http://web.shop:81/';

/** The client is on node1, the server on node2, and the waypoint on the node that nobody else is on. */
const WORLD = [
  namespaceYaml('shop'),
  echoYaml({ name: 'web', node: 'node2' }),
  serviceYaml(
    'web',
    'shop',
    {
      ports: [
        { name: 'http', port: 80, targetPort: 'http' },
        { name: 'http2', port: 81, targetPort: 'http' },
        { name: 'tcp', port: 9000, targetPort: 'tcp' },
      ],
    },
    { 'istio.io/use-waypoint': 'gate' },
  ),
  gatewayYaml('gate'),
  clientYaml({ name: 'client', node: 'node1' }),
].join('');

/** Half a pointer of each request. Less is no leak of theirs: code that becomes warm goes on for long. */
const GROWTH_MEGABYTES_MAX = 4;
/** With what lies outside of heaps: a TLS session or a socket that stays is a thousand bytes and more. */
const RESIDENT_MEGABYTES_MAX = 20;

/** As `world`, with everything in force. */
function waypointWorld(extraEnv: MeshExtraEnv = {}) {
  const here = world(WORLD, { nodes: NODES, extraEnv });
  const waypoint = () => {
    const pod = here.bed().lab.cluster.pods.all.find(({ key }) => key.startsWith('shop/gate-'));
    assert.ok(pod !== undefined);
    return pod;
  };
  const served = async (): Promise<void> => {
    const isServed = async (): Promise<boolean> => {
      const { status, body } = await here.client().http({ url: HTTP_URL });
      return status === 200 && body.includes('/sa/gate');
    };
    await here.bed().lab.waitFor(isServed, { what: 'the waypoint', timeoutMs: 60_000 });
  };
  return { ...here, waypoint, served };
}

describe('a waypoint whose agents are killed every 10 s', () => {
  const here = waypointWorld();

  it('costs only requests that meet the absence of the destination’s', async (context) => {
    await here.served();
    const { givenUp } = await killOverAndOver(context, here, 'agent/node2');
    assert.ok(givenUp > 0);
  });

  it('costs nothing when it is the one of the waypoint’s own node', async (context) => {
    await here.served();
    const { name } = here.waypoint().node;
    assert.ok(!['node1', 'node2'].includes(name), name);
    const { ok, sent } = await killOverAndOver(context, here, `agent/${name}`);
    assert.equal(ok, sent);
  });
});

describe(`a waypoint that is replaced at ${CONNECTIONS} connections`, () => {
  const here = waypointWorld({ waypoint: WAYPOINT_DRAIN });

  it('fails no request, keeps what lasts to the deadline, and ends the others in order', async (context) => {
    await handOverWaypoint(context, here, 1, { connections: CONNECTIONS, everyMs: 20 });
  });
});

describe('a million requests through a waypoint', () => {
  const here = waypointWorld();

  it('leave its memory as it was, on new connections and kept ones, in both versions of HTTP', async (context) => {
    await here.served();
    const { lab } = here.bed();
    const held = [
      // First: snapshots, which begin after the first look, leave marks of their own there.
      {
        name: 'waypoint, resident',
        megabytes: async () => await residentMegabytes(lab, WAYPOINT),
        whenIdle: true,
        growthMax: RESIDENT_MEGABYTES_MAX,
      },
      {
        name: 'waypoint, held',
        megabytes: async () => await heldMegabytes(lab, WAYPOINT),
        whenIdle: true,
        growthMax: GROWTH_MEGABYTES_MAX,
      },
    ];
    const shares = [
      { of: 2, request: { url: HTTP_URL } },
      { of: 4, request: { url: HTTP_URL, reuse: true } },
      { of: 1, request: { url: HTTP2_URL }, protocol: 'http2' },
      { of: 3, request: { url: HTTP2_URL, reuse: true }, protocol: 'http2' },
    ] as const;
    await sendMillion(context, here, shares, held);
  });
});
