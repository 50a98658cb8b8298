/** The agent speaks to an application from its client's address, on a port that the client itself may have in use. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Netns, writeSysctl } from '@ambit/netns';
import { INBOUND_PORT, PACKET_MARK } from './constants.ts';
import { applyCapture, releaseCapture } from './pod-network.ts';
import { type CaptureOptions, DEFAULT_PROBE_SOURCES } from './rules.ts';
import { ask, type Cable, connectPodAndPeer, dial, EchoServer, PEER, POD } from './testing.ts';

const OPTIONS: CaptureOptions = {
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
  probeSources: DEFAULT_PROBE_SOURCES,
};
const APP = 8080;
const FAMILIES = ['v4', 'v6'] as const;

let cable: Cable;
let pod: Netns;
let peer: Netns;
let app: EchoServer;
let inbound: EchoServer;

beforeEach(async () => {
  cable = await connectPodAndPeer();
  ({ pod, peer } = cable);
  for (const ns of [pod, peer]) {
    writeSysctl(ns, 'net.ipv4.ip_local_port_range', '40001 40001');
  }
  app = await EchoServer.listen(pod, APP, 'pod:');
  inbound = await EchoServer.listen(pod, INBOUND_PORT, 'inbound:');
});
afterEach(async () => {
  await app.stop();
  await inbound.stop();
  cable[Symbol.dispose]();
});

describe('a borrowed address with the port of a connection of its owner', {
  timeout: 20_000,
}, () => {
  for (const family of FAMILIES) {
    const client = { address: POD[family], port: APP };
    const agent = { ...client, mark: PACKET_MARK, sourceAddress: PEER[family] };

    it(`harms none that is older than the rules, ${family}`, async () => {
      const older = await dial(peer, client);
      await applyCapture(pod, OPTIONS);
      assert.equal(await ask(older, '1'), 'pod:1');
      const borrowed = await dial(pod, agent);
      assert.equal(await ask(borrowed, '2'), 'pod:2');
      assert.equal(app.arrivals[1]?.from, PEER[family]);
      assert.equal(await ask(older, '3'), 'pod:3');
      await releaseCapture(pod);
      assert.equal(await ask(borrowed, '4'), 'pod:4');
      assert.equal(await ask(older, '5'), 'pod:5');
    });

    it(`harms none that was redirected, ${family}`, async () => {
      await applyCapture(pod, OPTIONS);
      const redirected = await dial(peer, client);
      assert.equal(await ask(redirected, '1'), 'inbound:1');
      const borrowed = await dial(pod, agent);
      assert.equal(await ask(borrowed, '2'), 'pod:2');
      assert.equal(await ask(redirected, '3'), 'inbound:3');
      await releaseCapture(pod);
      assert.equal(await ask(borrowed, '4'), 'pod:4');
      assert.equal(await ask(redirected, '5'), 'inbound:5');
    });
  }
});
