import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { createNetns, type Netns, runIp, runNft, writeSysctl } from '@ambit/netns';
import { silentLogger } from '@ambit/telemetry';
import { HostProbes, removeHostProbes } from './host-probes.ts';
import { applyCapture } from './pod-network.ts';
import { DEFAULT_PROBE_SOURCES } from './rules.ts';
import { ask, closeDialled, dial, EchoServer } from './testing.ts';

/** A node with two pods, routed as most pod networks are. */
const PODS = [
  { v4: '10.78.1.2', v6: 'fd78:1::2', gateway4: '10.78.1.1', gateway6: 'fd78:1::1' },
  { v4: '10.78.2.2', v6: 'fd78:2::2', gateway4: '10.78.2.1', gateway6: 'fd78:2::1' },
] as const;
const [CAPTURED, OTHER] = PODS;
const APP = 8080;

let host: Netns;
let captured: Netns;
let other: Netns;
let app: EchoServer;
let probes: HostProbes;

async function attach(pod: Netns, link: string, address: (typeof PODS)[number]): Promise<void> {
  const { v4, v6, gateway4, gateway6 } = address;
  const there = `/proc/${process.pid}/fd/${pod.fd}`;
  await runIp(host, ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', there]);
  for (const [ns, device, ip4, ip6] of [
    [host, link, gateway4, gateway6],
    [pod, 'eth0', v4, v6],
  ] as const) {
    await runIp(ns, ['link', 'set', 'lo', 'up']);
    await runIp(ns, ['addr', 'add', `${ip4}/24`, 'dev', device]);
    await runIp(ns, ['addr', 'add', `${ip6}/64`, 'dev', device, 'nodad']);
    await runIp(ns, ['link', 'set', device, 'up']);
  }
  await runIp(pod, ['route', 'add', 'default', 'via', gateway4]);
  await runIp(pod, ['-6', 'route', 'add', 'default', 'via', gateway6]);
}

function makeProbes(): HostProbes {
  const log = silentLogger();
  return new HostProbes({
    log,
    probeSources: DEFAULT_PROBE_SOURCES,
    isSuperseded: () => false,
  });
}

const CAPTURED_POD = { uid: 'captured', ips: [CAPTURED.v4, CAPTURED.v6] } as const;

before(async () => {
  [host, captured, other] = [createNetns(), createNetns(), createNetns()];
  writeSysctl(host, 'net.ipv4.ip_forward', '1');
  writeSysctl(host, 'net.ipv6.conf.all.forwarding', '1');
  await attach(captured, 'pod1', CAPTURED);
  await attach(other, 'pod2', OTHER);
  await applyCapture(captured, {
    dnsCapture: false,
    bypassInbound: false,
    virtualInterfaces: [],
    probeSources: DEFAULT_PROBE_SOURCES,
  });
});
after(() => {
  closeDialled();
  for (const ns of [host, captured, other]) {
    ns[Symbol.dispose]();
  }
});
beforeEach(async () => {
  // Nobody listens for the agent, so whatever is captured is refused.
  app = await EchoServer.listen(captured, APP, 'app:');
  probes = makeProbes();
  await probes.open(host, []);
});
afterEach(async () => {
  await app.stop();
  await removeHostProbes(host);
});

async function talk(ns: Netns, address: string): Promise<string> {
  const socket = await dial(ns, { address, port: APP });
  const answer = await ask(socket, 'x');
  socket.destroy();
  return answer;
}

async function dropped(): Promise<number> {
  const rules = await runNft(host, ['list', 'chain', 'inet', 'ambit-host', 'prerouting']);
  return [...rules.matchAll(/packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}

for (const family of ['v4', 'v6'] as const) {
  describe(`the node's rule for probes, ${family}`, () => {
    it('lets programs of the node through to the application, from the probe source', async () => {
      await assert.rejects(talk(host, CAPTURED[family]), { code: 'ECONNREFUSED' });
      await probes.add(CAPTURED_POD);
      assert.equal(await talk(host, CAPTURED[family]), 'app:x');
      assert.equal(app.arrivals.at(-1)?.from, DEFAULT_PROBE_SOURCES[family]);
    });

    it('leaves what the node forwards alone', async () => {
      await probes.add(CAPTURED_POD);
      await assert.rejects(talk(other, CAPTURED[family]), { code: 'ECONNREFUSED' });
      assert.deepEqual(app.arrivals, []);
    });

    it('leaves the rest of the node alone', async () => {
      const beyond = await EchoServer.listen(other, APP, 'other:');
      await probes.add(CAPTURED_POD);
      assert.equal(await talk(host, OTHER[family]), 'other:x');
      assert.notEqual(beyond.arrivals[0]?.from, DEFAULT_PROBE_SOURCES[family]);
      await beyond.stop();
    });

    it('drops what another pod sends with the probe source', async () => {
      await probes.add(CAPTURED_POD);
      const faked = dial(other, {
        address: CAPTURED[family],
        port: APP,
        sourceAddress: DEFAULT_PROBE_SOURCES[family],
      });
      faked.catch(() => undefined);
      while ((await dropped()) === 0) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(app.arrivals, []);
    });

    it('keeps what it let through while the rule is written anew, and after', async () => {
      await probes.add(CAPTURED_POD);
      const socket = await dial(host, { address: CAPTURED[family], port: APP });
      assert.equal(await ask(socket, '1'), 'app:1');
      await probes.add({ uid: 'other', ips: [OTHER.v4] });
      assert.equal(await ask(socket, '2'), 'app:2');
      const next = makeProbes();
      await next.open(host, [CAPTURED_POD]);
      assert.equal(await ask(socket, '3'), 'app:3');
      assert.equal(await talk(host, CAPTURED[family]), 'app:x');
      socket.destroy();
    });

    it('keeps connections that are older than the rule', async () => {
      const beyond = await EchoServer.listen(other, APP, 'other:');
      await removeHostProbes(host);
      const socket = await dial(host, { address: OTHER[family], port: APP });
      assert.equal(await ask(socket, '1'), 'other:1');
      await makeProbes().open(host, []);
      await probes.add({ uid: 'other', ips: [OTHER.v4, OTHER.v6] });
      assert.equal(await ask(socket, '2'), 'other:2');
      socket.destroy();
      await beyond.stop();
    });
  });
}

describe('removeHostProbes', () => {
  it('leaves nothing, as often as it is called', async () => {
    await probes.add(CAPTURED_POD);
    await removeHostProbes(host);
    await removeHostProbes(host);
    assert.equal(await runNft(host, ['list', 'ruleset']), '');
  });
});
