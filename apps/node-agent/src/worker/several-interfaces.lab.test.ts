/**
 * A pod with a second interface beside the one of its cluster, as Multus makes it: what leaves and arrives there is captured as
 * on the first, and goes on where it would have gone without the mesh.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { createNetns, type Netns, runIp } from '@ambit/netns';
import { Deadlines } from '@ambit/proxy';
import { TestCa } from '@ambit/testkit';
import { openListeners } from '../capture/listeners.ts';
import { applyCapture, removeCapture } from '../capture/pod-network.ts';
import { DEFAULT_PROBE_SOURCES } from '../capture/rules.ts';
import { ask, type Cable, connectPodAndPeer, dial, EchoServer, POD } from '../capture/testing.ts';
import { WORKER_CONFIG } from './config.ts';
import type { FromWorker } from './messages.ts';
import { netnsSockets } from './pod-sockets.ts';
import { ProxyWorker } from './proxy-worker.ts';
import { policy, workload } from './testing/fixtures.ts';

const APP = 8080;
/** On the second interface, in both families; `far` is behind its gateway. */
const SECOND = {
  v4: { pod: '192.168.77.2', peer: '192.168.77.1', far: '203.0.113.9', bits: 24, all: 32 },
  v6: { pod: 'fd78::2', peer: 'fd78::1', far: 'fd79::9', bits: 64, all: 128 },
} as const;

let cable: Cable;
let lan: Netns;
let podApp: EchoServer;
let lanApp: EchoServer;
let worker: ProxyWorker;
let messages: FromWorker[];

/** `net1` of the pod leads to `lan`. Who binds its address leaves by it, as with the plugin for source routing. */
async function addInterface(pod: Netns, other: Netns): Promise<void> {
  await runIp(pod, ['link', 'add', 'net1', 'type', 'veth', 'peer', 'name', 'lan0']);
  await runIp(pod, ['link', 'set', 'lan0', 'netns', `/proc/${process.pid}/fd/${other.fd}`]);
  await runIp(other, ['link', 'set', 'lo', 'up']);
  for (const { pod: own, peer, far, bits, all } of Object.values(SECOND)) {
    const family = own.includes(':') ? '-6' : '-4';
    const noDad = family === '-6' ? ['nodad'] : [];
    await runIp(pod, ['addr', 'add', `${own}/${bits}`, 'dev', 'net1', ...noDad]);
    await runIp(other, ['addr', 'add', `${peer}/${bits}`, 'dev', 'lan0', ...noDad]);
    await runIp(other, ['addr', 'add', `${far}/${all}`, 'dev', 'lo', ...noDad]);
  }
  await runIp(other, ['link', 'set', 'lan0', 'up']);
  await runIp(pod, ['link', 'set', 'net1', 'up']);
  for (const { pod: own, peer, all } of Object.values(SECOND)) {
    const family = own.includes(':') ? '-6' : '-4';
    await runIp(pod, [family, 'route', 'add', 'default', 'via', peer, 'table', '200']);
    await runIp(pod, [family, 'rule', 'add', 'from', `${own}/${all}`, 'lookup', '200']);
  }
}

before(async () => {
  cable = await connectPodAndPeer();
  lan = createNetns();
  await addInterface(cable.pod, lan);
  podApp = await EchoServer.listen(cable.pod, APP, 'pod:');
  lanApp = await EchoServer.listen(lan, APP, 'lan:');
});
after(async () => {
  await podApp.stop();
  await lanApp.stop();
  cable[Symbol.dispose]();
  lan[Symbol.dispose]();
});

beforeEach(async () => {
  messages = [];
  worker = new ProxyWorker({
    config: WORKER_CONFIG,
    clock: systemClock,
    sink: { write: () => undefined },
    openSockets: netnsSockets({
      packetMark: WORKER_CONFIG.packetMark,
      connectDeadlines: new Deadlines(systemClock, 10_000),
      onSourceUnavailable: (source, error) => assert.fail(`${source}: ${error.message}`),
    }),
    post: (message) => void messages.push(message),
  });
  worker.receive({
    kind: 'pod-added',
    pod: {
      uid: 'uid-pod',
      name: 'pod',
      namespace: 'shop',
      serviceAccount: 'pod',
      // What its status says: the first interface alone.
      ips: [POD.v4, POD.v6],
      netnsPath: `/proc/self/fd/${cable.pod.fd}`,
      listeners: openListeners(cable.pod),
    },
  });
  while (messages.length === 0) {
    await systemClock.sleep(5);
  }
  worker.receive({ kind: 'certificate', material: new TestCa().workload('shop', 'pod') });
  tellMesh([]);
  await applyCapture(cable.pod, {
    dnsCapture: false,
    bypassInbound: false,
    virtualInterfaces: [],
    probeSources: DEFAULT_PROBE_SOURCES,
  });
});
afterEach(async () => {
  worker.destroy();
  await removeCapture(cable.pod);
  podApp.arrivals.length = 0;
  lanApp.arrivals.length = 0;
});

function tellMesh(policies: readonly ReturnType<typeof policy>[]): void {
  worker.receive({
    kind: 'resources',
    sequence: 1,
    addresses: {
      changed: [{ kind: 'workload', workload: workload('pod', { addresses: [POD.v4, POD.v6] }) }],
      removed: [],
    },
    authorizations: { changed: policies, removed: [] },
  });
}

async function talk(ns: Netns, target: Parameters<typeof dial>[1]): Promise<string> {
  const socket = await dial(ns, target);
  const answer = await ask(socket, 'x');
  socket.destroy();
  return answer;
}

for (const family of ['v4', 'v6'] as const) {
  describe(`a second interface, ${family}`, () => {
    const { pod: own, peer, far } = SECOND[family];

    it('is left by what goes to its network', async () => {
      assert.equal(await talk(cable.pod, { address: peer, port: APP }), 'lan:x');
      assert.equal(lanApp.arrivals[0]?.from, own);
    });

    it('is left by whoever binds its address, wherever it goes', async () => {
      const answer = await talk(cable.pod, { address: far, port: APP, sourceAddress: own });
      assert.equal(answer, 'lan:x');
      assert.equal(lanApp.arrivals[0]?.from, own);
    });

    it('lets plaintext in with the address of the client, and not under STRICT', async () => {
      assert.equal(await talk(lan, { address: own, port: APP }), 'pod:x');
      assert.equal(podApp.arrivals[0]?.from, peer);
      tellMesh([policy('strict', 'DENY', { notPrincipals: [{ kind: 'presence' }] })]);
      await assert.rejects(talk(lan, { address: own, port: APP }));
      assert.equal(podApp.arrivals.length, 1);
    });
  });
}
