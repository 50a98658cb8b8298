/** The worker on real namespaces, rules and borrowed addresses; needs root or a user namespace. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { dialFrom, type Netns, tcpSocket } from '@ambit/netns';
import { Deadlines, SocketConn } from '@ambit/proxy';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';
import { openListeners } from '../capture/listeners.ts';
import { applyCapture, removeCapture } from '../capture/pod-network.ts';
import { DEFAULT_PROBE_SOURCES } from '../capture/rules.ts';
import {
  ask,
  type Cable,
  connectPodAndPeer,
  dial,
  EchoServer,
  PEER,
  POD,
} from '../capture/testing.ts';
import { WORKER_CONFIG } from './config.ts';
import type { FromWorker } from './messages.ts';
import { netnsSockets } from './pod-sockets.ts';
import { ProxyWorker } from './proxy-worker.ts';
import { policy, workload } from './testing/fixtures.ts';

const APP = 8080;
const CAPTURE = {
  dnsCapture: false,
  bypassInbound: false,
  virtualInterfaces: [],
  probeSources: DEFAULT_PROBE_SOURCES,
};

const ca = new TestCa();
let cable: Cable;
let server: EchoServer;
let worker: ProxyWorker;
let lines: Record<string, unknown>[] = [];
let messages: FromWorker[] = [];

async function capture(name: string, ns: Netns, ips: readonly string[]): Promise<void> {
  const started = messages.length;
  worker.receive({
    kind: 'pod-added',
    pod: {
      uid: `uid-${name}`,
      name,
      namespace: 'shop',
      serviceAccount: name,
      ips,
      netnsPath: `/proc/self/fd/${ns.fd}`,
      listeners: openListeners(ns),
    },
  });
  while (messages.length === started) {
    await systemClock.sleep(5);
  }
  assert.deepEqual(messages.at(-1), { kind: 'pod-started', uid: `uid-${name}` });
  worker.receive({ kind: 'certificate', material: ca.workload('shop', name) });
  await applyCapture(ns, CAPTURE);
}

function tellMesh(options: { policies?: readonly ReturnType<typeof policy>[] } = {}): void {
  worker.receive({
    kind: 'resources',
    sequence: 1,
    addresses: {
      changed: [
        { kind: 'workload', workload: workload('client', { addresses: [POD.v4, POD.v6] }) },
        { kind: 'workload', workload: workload('server', { addresses: [PEER.v4, PEER.v6] }) },
      ],
      removed: [],
    },
    authorizations: { changed: options.policies ?? [], removed: ['shop/late', 'shop/strict'] },
  });
}

/** A connection of a pod that may half-close. */
async function open(
  ns: Netns,
  address: string,
  port = APP,
): Promise<Recorder & { conn: SocketConn; socket: Socket }> {
  const fd = tcpSocket(ns, { family: address.includes(':') ? 6 : 4 });
  const socket = dialFrom(fd, { address, port, allowHalfOpen: true });
  const settled = Promise.withResolvers<void>();
  socket.once('connect', settled.resolve);
  // A refusal can be faster than the connect; the connection reports it.
  socket.once('close', settled.resolve);
  socket.on('error', settled.resolve);
  await settled.promise;
  const conn = new SocketConn(socket, { side: 'upstream' });
  return Object.assign(Recorder.on(conn), { conn, socket });
}

before(async () => {
  cable = await connectPodAndPeer();
  server = await EchoServer.listen(cable.peer, APP, '');
});
after(async () => {
  await server.stop();
  cable[Symbol.dispose]();
});

async function start(captured: readonly ('client' | 'server')[]): Promise<void> {
  lines = [];
  messages = [];
  worker = new ProxyWorker({
    config: WORKER_CONFIG,
    clock: systemClock,
    sink: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    openSockets: netnsSockets({
      packetMark: WORKER_CONFIG.packetMark,
      connectDeadlines: new Deadlines(systemClock, 10_000),
      onSourceUnavailable: (source, error) => lines.push({ source, error: error.message }),
    }),
    post: (message) => void messages.push(message),
  });
  for (const name of captured) {
    const isClient = name === 'client';
    const { v4, v6 } = isClient ? POD : PEER;
    await capture(name, isClient ? cable.pod : cable.peer, [v4, v6]);
  }
  tellMesh();
}

afterEach(async () => {
  worker.destroy();
  await removeCapture(cable.pod);
  await removeCapture(cable.peer);
});

describe('a worker with both pods captured', () => {
  for (const [family, client, destination] of [
    ['IPv4', POD.v4, PEER.v4],
    ['IPv6', POD.v6, PEER.v6],
  ] as const) {
    it(`keeps the client's address over ${family}`, async () => {
      await start(['client', 'server']);
      const socket = await dial(cable.pod, { address: destination, port: APP });
      assert.equal(await ask(socket, 'hello'), 'hello');
      assert.equal(server.arrivals.at(-1)?.from, client);
      socket.destroy();
    });
  }

  it('carries megabytes both ways at once, then half-closes', async () => {
    await start(['client', 'server']);
    const client = await open(cable.pod, PEER.v4);
    const chunk = Buffer.alloc(256 * 1024, 0x61);
    for (let i = 0; i < 64; i += 1) {
      if (!client.conn.write(chunk)) {
        const { drains } = client;
        await client.until((r) => r.drains > drains);
      }
    }
    client.conn.end();
    await client.ended;
    assert.equal(client.bytes, 64 * chunk.length);
    assert.equal(await client.closed, undefined);
  });

  it('resets the client of a closed port and of a port of the mesh', async () => {
    await start(['client', 'server']);
    for (const port of [9, 15001, 15006]) {
      const client = await open(cable.pod, PEER.v4, port);
      assert.ok((await client.closed) instanceof Error, `port ${port}`);
    }
  });

  it('cuts an open connection when policy changes', async () => {
    await start(['client', 'server']);
    const client = await open(cable.pod, PEER.v4);
    client.conn.write(Buffer.from('x'));
    await client.until((r) => r.bytes === 1);
    tellMesh({ policies: [policy('late', 'DENY', { destinationPorts: [APP] })] });
    await client.ended;
    assert.ok(lines.some((line) => line['response_flags'] === 'DENY'));
  });
});

describe('a worker with one pod captured', () => {
  it('passes plaintext in with the address of the client, and not under STRICT', async () => {
    await start(['server']);
    const socket = await dial(cable.pod, { address: PEER.v4, port: APP });
    assert.equal(await ask(socket, 'hello'), 'hello');
    assert.equal(server.arrivals.at(-1)?.from, POD.v4);
    socket.destroy();
    const arrived = server.arrivals.length;
    tellMesh({ policies: [policy('strict', 'DENY', { notPrincipals: [{ kind: 'presence' }] })] });
    const refused = await open(cable.pod, PEER.v4);
    assert.ok((await refused.closed) instanceof Error);
    assert.equal(server.arrivals.length, arrived);
    assert.equal(refused.bytes, 0);
  });

  it('passes an unknown destination through from the address of the pod', async () => {
    await start(['client']);
    worker.receive({
      kind: 'resources',
      sequence: 2,
      addresses: { changed: [], removed: ['Kubernetes//Pod/shop/server'] },
      authorizations: { changed: [], removed: [] },
    });
    const socket = await dial(cable.pod, { address: PEER.v4, port: APP });
    assert.equal(await ask(socket, 'plain'), 'plain');
    assert.equal(server.arrivals.at(-1)?.from, POD.v4);
    socket.destroy();
  });

  it('sends nothing in clear to a destination that should have an agent', async () => {
    await start(['client']);
    const arrived = server.arrivals.length;
    const client = await open(cable.pod, PEER.v4);
    assert.ok((await client.closed) instanceof Error);
    assert.equal(server.arrivals.length, arrived);
  });
});
