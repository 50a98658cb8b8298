/** Tunnels to agents that are away for a while. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { HboneServer } from '@ambit/hbone';
import type { Caller, MeshEndpoint } from '@ambit/http';
import { MeshIndex } from '@ambit/model';
import { workload } from '@ambit/model/testing';
import { TestCa } from '@ambit/testkit';
import { UpstreamDialer } from './upstream-dialer.ts';

const CA = new TestCa();
const WAYPOINT = CA.workload('shop', 'waypoint');
const SERVER = CA.workload('shop', 'reviews');
const CALLER: Caller = {
  identity: 'spiffe://cluster.local/ns/shop/sa/client',
  trustDomain: 'cluster.local',
  namespace: 'shop',
  serviceAccount: 'client',
  ip: '127.0.0.9',
  port: 4000,
};

function endpoint(name: string, address: string): MeshEndpoint {
  const found = workload(name, { addresses: [address], serviceAccount: 'reviews' });
  return { key: found.uid, workload: found, targetPort: 80, weight: 1 };
}

const ONE = endpoint('one', '127.0.0.1');
const OTHER = endpoint('other', '127.0.0.2');

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const at = server.address();
  return at !== null && typeof at === 'object' ? at.port : 0;
}

/** A port that nobody listens on, at any loopback address. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server, 0);
  server.close();
  await once(server, 'close');
  return port;
}

async function start(): Promise<{ dialer: UpstreamDialer; clock: FakeClock; port: number }> {
  const clock = new FakeClock();
  const port = await freePort();
  const dialer = new UpstreamDialer({
    clock,
    index: new MeshIndex({ network: '' }),
    identity: WAYPOINT.identity,
    certificate: () => WAYPOINT,
    hbonePort: port,
  });
  return { dialer, clock, port };
}

/** Lets time pass until so many dials have reached nobody. */
async function passUntilFailed(
  dialer: UpstreamDialer,
  clock: FakeClock,
  dials: number,
): Promise<void> {
  const { counters } = dialer.pool;
  while (counters.dialFailures < dials) {
    if (counters.dialFailures === counters.dials) clock.advance(10);
    await new Promise(setImmediate);
  }
  await new Promise(setImmediate);
}

const live = new AbortController().signal;
const isAway = (error: unknown) => error instanceof MeshError && error.code === 'HBONE_PEER_AWAY';

describe('an endpoint whose agent is away', () => {
  it('is waited for where there is no other, and served when the agent is back', async () => {
    const { dialer, clock, port } = await start();
    const dialled = dialer.dial({ endpoint: ONE, caller: CALLER, endpoints: () => [ONE] }, live);
    await passUntilFailed(dialer, clock, 3);
    const agent = new HboneServer({
      clock,
      identity: () => SERVER,
      onConnect: () => ({ status: 200, serve: () => undefined }),
    });
    const listener = createServer({ allowHalfOpen: true }, (socket) => agent.accept(socket));
    await listen(listener, port);
    clock.advance(500);
    const conn = await dialled;
    conn.destroy();
    dialer.pool.destroy();
    agent.destroy();
    listener.close();
  });

  it('is given up at the connect timeout', async () => {
    const { dialer, clock } = await start();
    const dialled = dialer.dial({ endpoint: ONE, caller: CALLER, endpoints: () => [ONE] }, live);
    await passUntilFailed(dialer, clock, 3);
    clock.advance(10_000);
    await assert.rejects(dialled, isAway);
  });

  it('is not waited for while another may be there, or when it is an endpoint no more', async () => {
    for (const endpoints of [[ONE, OTHER], [OTHER], []]) {
      const { dialer } = await start();
      await assert.rejects(
        dialer.dial({ endpoint: ONE, caller: CALLER, endpoints: () => endpoints }, live),
        { code: 'PROXY_REFUSED' },
      );
    }
  });
});
