import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import {
  adoptUdp,
  applyNft,
  bindUdp,
  type Netns,
  readSysctl,
  runIp,
  runNft,
  writeSysctl,
} from '@ambit/netns';
import { DNS_PORT, HBONE_PORT, INBOUND_PORT, OUTBOUND_PORT, PACKET_MARK } from './constants.ts';
import { closeListeners, duplicateListeners, openListeners } from './listeners.ts';
import {
  applyCapture,
  carriedConnections,
  hasCapture,
  migrationProblem,
  releaseCapture,
  removeCapture,
} from './pod-network.ts';
import { type CaptureOptions, captureRules, DEFAULT_PROBE_SOURCES } from './rules.ts';
import { ask, type Cable, connectPodAndPeer, dial, EchoServer, PEER, POD } from './testing.ts';

const OPTIONS: CaptureOptions = {
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
  probeSources: DEFAULT_PROBE_SOURCES,
};
const APP = 8080;

let cable: Cable;
let pod: Netns;
let peer: Netns;
/** Applications on both ends, and the agent's three listeners in the pod. */
let servers: Record<'podApp' | 'peerApp' | 'outbound' | 'inbound' | 'hbone', EchoServer>;

beforeEach(async () => {
  cable = await connectPodAndPeer();
  ({ pod, peer } = cable);
  servers = {
    podApp: await EchoServer.listen(pod, APP, 'pod:'),
    peerApp: await EchoServer.listen(peer, APP, 'peer:'),
    outbound: await EchoServer.listen(pod, OUTBOUND_PORT, 'outbound:'),
    inbound: await EchoServer.listen(pod, INBOUND_PORT, 'inbound:'),
    hbone: await EchoServer.listen(pod, HBONE_PORT, 'hbone:'),
  };
});
afterEach(async () => {
  for (const server of Object.values(servers)) {
    await server.stop();
  }
  cable[Symbol.dispose]();
});

async function talk(ns: Netns, target: Parameters<typeof dial>[1]): Promise<string> {
  const socket = await dial(ns, target);
  const answer = await ask(socket, 'x');
  socket.destroy();
  return answer;
}

const FAMILIES = ['v4', 'v6'] as const;

describe('applyCapture', () => {
  for (const family of FAMILIES) {
    it(`brings outbound connections to the agent with their destination, ${family}`, async () => {
      await applyCapture(pod, OPTIONS);
      assert.equal(await talk(pod, { address: PEER[family], port: APP }), 'outbound:x');
      assert.deepEqual(servers.outbound.arrivals[0]?.originally, {
        address: PEER[family],
        port: APP,
      });
      assert.equal(servers.peerApp.arrivals.length, 0);
    });

    it(`brings inbound plaintext to the agent with its destination, ${family}`, async () => {
      await applyCapture(pod, OPTIONS);
      assert.equal(await talk(peer, { address: POD[family], port: APP }), 'inbound:x');
      const [arrival] = servers.inbound.arrivals;
      assert.deepEqual(arrival?.originally, { address: POD[family], port: APP });
      assert.equal(arrival?.from, PEER[family]);
    });

    it(`leaves tunnels, its own sockets, loopback and the pod's own address alone, ${family}`, async () => {
      await applyCapture(pod, OPTIONS);
      const loopback = family === 'v4' ? '127.0.0.1' : '::1';
      assert.equal(await talk(peer, { address: POD[family], port: HBONE_PORT }), 'hbone:x');
      assert.equal(
        await talk(pod, { address: PEER[family], port: APP, mark: PACKET_MARK }),
        'peer:x',
      );
      assert.equal(await talk(pod, { address: loopback, port: APP }), 'pod:x');
      assert.equal(await talk(pod, { address: POD[family], port: APP }), 'pod:x');
    });

    it(`lets the agent dial the application from the client's address, ${family}`, async () => {
      await applyCapture(pod, OPTIONS);
      const answer = await talk(pod, {
        address: POD[family],
        port: APP,
        mark: PACKET_MARK,
        sourceAddress: PEER[family],
      });
      assert.equal(answer, 'pod:x');
      assert.equal(servers.podApp.arrivals[0]?.from, PEER[family]);
    });

    it(`keeps connections that are older than the rules, ${family}`, async () => {
      const out = await dial(pod, { address: PEER[family], port: APP });
      const inward = await dial(peer, { address: POD[family], port: APP });
      await applyCapture(pod, OPTIONS);
      assert.equal(await ask(out, '1'), 'peer:1');
      assert.equal(await ask(inward, '1'), 'pod:1');
      assert.equal(await talk(pod, { address: PEER[family], port: APP }), 'outbound:x');
      await releaseCapture(pod);
      assert.equal(await ask(out, '2'), 'peer:2');
      assert.equal(await ask(inward, '2'), 'pod:2');
      await removeCapture(pod);
      assert.equal(await ask(out, '3'), 'peer:3');
      assert.equal(await ask(inward, '3'), 'pod:3');
      out.destroy();
      inward.destroy();
    });

    it(`captures who comes back on the port of an older connection that was reset, ${family}`, async () => {
      for (const [from, to, app, answer] of [
        [peer, POD[family], servers.podApp, 'inbound:x'],
        [pod, PEER[family], servers.peerApp, 'outbound:x'],
      ] as const) {
        writeSysctl(from, 'net.ipv4.ip_local_port_range', '40001 40001');
        writeSysctl(pod, 'net.netfilter.nf_conntrack_tcp_timeout_close', '1');
        const older = await dial(from, { address: to, port: APP });
        older.on('error', () => undefined);
        await applyCapture(pod, OPTIONS);
        await ask(older, '1');
        const closed = new Promise((resolve) => older.once('close', resolve));
        app.arrivals[0]?.socket.resetAndDestroy();
        await closed;
        assert.equal(await talk(from, { address: to, port: APP }), answer);
        assert.equal(app.arrivals.length, 1);
        await removeCapture(pod);
      }
    });

    it(`keeps captured connections when it is repeated and when it is released, ${family}`, async () => {
      await applyCapture(pod, OPTIONS);
      const out = await dial(pod, { address: PEER[family], port: APP });
      const inward = await dial(peer, { address: POD[family], port: APP });
      const spoofed = await dial(pod, {
        address: POD[family],
        port: APP,
        mark: PACKET_MARK,
        sourceAddress: PEER[family],
      });
      assert.equal(await ask(out, '1'), 'outbound:1');
      await applyCapture(pod, OPTIONS);
      assert.equal(await ask(out, '2'), 'outbound:2');
      assert.equal(await ask(inward, '2'), 'inbound:2');
      assert.equal(await ask(spoofed, '2'), 'pod:2');
      await releaseCapture(pod);
      assert.equal(await ask(out, '3'), 'outbound:3');
      assert.equal(await ask(inward, '3'), 'inbound:3');
      assert.equal(await ask(spoofed, '3'), 'pod:3');
      assert.equal(await talk(pod, { address: PEER[family], port: APP }), 'peer:x');
      assert.equal(await talk(peer, { address: POD[family], port: APP }), 'pod:x');
      assert.ok(carriedConnections(pod) >= 2);
      for (const socket of [out, inward, spoofed]) {
        socket.destroy();
      }
    });
  }

  it('lets probes through to the application', async () => {
    const source = DEFAULT_PROBE_SOURCES.v4;
    await runIp(peer, ['addr', 'add', `${source}/32`, 'dev', 'lo']);
    await applyCapture(pod, OPTIONS);
    assert.equal(await talk(peer, { address: POD.v4, port: APP, sourceAddress: source }), 'pod:x');
  });

  it('refuses when nobody listens, and nothing leaves', async () => {
    await applyCapture(pod, OPTIONS);
    await servers.outbound.stop();
    await servers.inbound.stop();
    await assert.rejects(dial(pod, { address: PEER.v4, port: APP }), { code: 'ECONNREFUSED' });
    await assert.rejects(dial(peer, { address: POD.v4, port: APP }), { code: 'ECONNREFUSED' });
    assert.equal(servers.peerApp.arrivals.length, 0);
    assert.equal(servers.podApp.arrivals.length, 0);
    servers.outbound = await EchoServer.listen(pod, OUTBOUND_PORT, 'outbound:');
    servers.inbound = await EchoServer.listen(pod, INBOUND_PORT, 'inbound:');
  });

  it('captures names on UDP only with dnsCapture, but not its own questions', async () => {
    const dns = await adoptUdp(
      bindUdp(pod, { address: '127.0.0.1', port: DNS_PORT, mark: PACKET_MARK, reusePort: true }),
    );
    dns.on('message', (_bytes, from) => dns.send('agent', from.port, from.address));
    const upstream = await adoptUdp(
      bindUdp(peer, { address: PEER.v4, port: 53, reusePort: false }),
    );
    upstream.on('message', (_bytes, from) => upstream.send('upstream', from.port, from.address));
    const question = async (mark?: number): Promise<string> => {
      const options = { address: '0.0.0.0', port: 0, reusePort: false };
      const client = await adoptUdp(
        bindUdp(pod, mark === undefined ? options : { ...options, mark }),
      );
      client.send('?', 53, PEER.v4);
      const [bytes] = (await once(client, 'message')) as [Buffer];
      client.close();
      return bytes.toString();
    };
    await applyCapture(pod, OPTIONS);
    assert.equal(await question(), 'agent');
    assert.equal(await question(PACKET_MARK), 'upstream');
    await applyCapture(pod, { ...OPTIONS, dnsCapture: false });
    assert.equal(await question(), 'upstream');
    dns.close();
    upstream.close();
  });

  it('leaves inbound alone for a pod that bypasses it', async () => {
    await applyCapture(pod, { ...OPTIONS, bypassInbound: true });
    assert.equal(await talk(peer, { address: POD.v4, port: APP }), 'pod:x');
    assert.equal(await talk(pod, { address: PEER.v4, port: APP }), 'outbound:x');
  });

  it('lets excluded ports and addresses pass in clear, and nothing beside them', async () => {
    const nothing = { inboundPorts: [], outboundPorts: [], outboundRanges: [] };
    const exclude = (exclusions: object) =>
      applyCapture(pod, { ...OPTIONS, exclusions: { ...nothing, ...exclusions } });
    await exclude({ inboundPorts: [APP] });
    assert.equal(await talk(peer, { address: POD.v4, port: APP }), 'pod:x');
    assert.equal(await talk(pod, { address: PEER.v4, port: APP }), 'outbound:x');
    await exclude({ outboundPorts: [APP, 53] });
    assert.equal(await talk(peer, { address: POD.v4, port: APP }), 'inbound:x');
    assert.equal(await talk(pod, { address: PEER.v4, port: APP }), 'peer:x');
    // Ranges may overlap, and one that leaves the peer out changes nothing.
    await exclude({ outboundRanges: [`${PEER.v4}/32`, '0.0.0.0/0', '::/0'] });
    assert.equal(await talk(pod, { address: PEER.v4, port: APP }), 'peer:x');
    await exclude({ outboundRanges: ['203.0.113.0/24'], outboundPorts: [1], inboundPorts: [1] });
    assert.equal(await talk(pod, { address: PEER.v4, port: APP }), 'outbound:x');
    assert.equal(await talk(peer, { address: POD.v4, port: APP }), 'inbound:x');
  });

  it('treats what comes from a virtual interface as outbound', async () => {
    await applyCapture(pod, { ...OPTIONS, virtualInterfaces: ['eth0'] });
    assert.equal(await talk(peer, { address: POD.v4, port: APP }), 'outbound:x');
  });
});

describe('removeCapture', () => {
  it('leaves the namespace as it was', async () => {
    const look = async (): Promise<string> =>
      [
        await runNft(pod, ['list', 'ruleset']),
        await runIp(pod, ['rule']),
        await runIp(pod, ['-6', 'rule']),
        await runIp(pod, ['route', 'show', 'table', 'all']),
        await runIp(pod, ['-6', 'route', 'show', 'table', '15008']).catch(() => ''),
        readSysctl(pod, 'net.ipv4.tcp_migrate_req'),
      ].join('\n');
    const before = await look();
    await applyCapture(pod, OPTIONS);
    assert.ok(await hasCapture(pod));
    await removeCapture(pod);
    assert.equal(await look(), before);
    assert.ok(!(await hasCapture(pod)));
    await removeCapture(pod);
    assert.equal(await look(), before);
  });

  const shared = {
    rule: ['fwmark', '0x111/0xfff', 'pref', '32764', 'lookup', '100'],
    route: ['local', 'default', 'dev', 'lo', 'table', '100'],
  };
  const addShared = async (): Promise<void> => {
    await runIp(pod, ['rule', 'add', ...shared.rule]);
    await runIp(pod, ['route', 'add', ...shared.route]);
  };
  const hasShared = async (): Promise<boolean> => {
    const rules = await runIp(pod, ['rule']);
    const routes = await runIp(pod, ['route', 'show', 'table', 'all']);
    const found = [/32764:.* lookup 100\b/.test(rules), /dev lo table 100\b/.test(routes)];
    assert.equal(found[0], found[1]);
    return found[0] === true;
  };
  const THEIRS = 'table inet istio-ambient-nat { chain istio-output { }\n }';
  /** As an agent leaves a pod that had no numbers of its own for the way back. */
  const captureAsBefore = async (): Promise<void> => {
    await applyNft(pod, captureRules(OPTIONS));
    await addShared();
  };

  it('leaves the way back of another mesh in a pod without a table of ours', async () => {
    await addShared();
    await removeCapture(pod);
    assert.ok(await hasShared());
  });

  it('leaves the way back of another mesh that captured the pod before the end of our grace', async () => {
    await applyCapture(pod, OPTIONS);
    await releaseCapture(pod);
    await addShared();
    await applyNft(pod, THEIRS);
    await removeCapture(pod);
    assert.ok(await hasShared());
    assert.doesNotMatch(await runIp(pod, ['rule']), /15008/);
  });

  it('keeps its own way back where another mesh cleans up its', async () => {
    await addShared();
    await applyCapture(pod, OPTIONS);
    await runIp(pod, ['rule', 'del', ...shared.rule]);
    await runIp(pod, ['route', 'del', ...shared.route]);
    const options = { mark: PACKET_MARK, sourceAddress: PEER.v4 };
    assert.equal(await talk(pod, { address: POD.v4, port: APP, ...options }), 'pod:x');
  });

  it('takes away what older agents used, at once and when it is removed', async () => {
    await captureAsBefore();
    const spoofed = await dial(pod, {
      address: POD.v4,
      port: APP,
      mark: PACKET_MARK,
      sourceAddress: PEER.v4,
    });
    await applyCapture(pod, OPTIONS);
    assert.ok(!(await hasShared()));
    assert.equal(await ask(spoofed, '1'), 'pod:1', 'connections of the older agent go on');
    spoofed.destroy();
    await removeCapture(pod);
    await captureAsBefore();
    await removeCapture(pod);
    assert.ok(!(await hasShared()));
  });

  it('leaves what older agents used where another mesh needs the same', async () => {
    await captureAsBefore();
    await applyNft(pod, THEIRS);
    await applyCapture(pod, OPTIONS);
    assert.ok(await hasShared());
    await removeCapture(pod);
    assert.ok(await hasShared());
  });
});

describe('migrationProblem', () => {
  it('is none here, and changes nothing', () => {
    assert.equal(migrationProblem(pod), undefined);
    assert.equal(readSysctl(pod, 'net.ipv4.tcp_migrate_req'), '0');
  });
});

describe('openListeners', () => {
  let own: Cable;
  before(async () => {
    own = await connectPodAndPeer();
  });
  after(() => {
    own[Symbol.dispose]();
  });

  it('keeps connections waiting while a duplicate is gone', async () => {
    const set = openListeners(own.pod);
    const first = duplicateListeners(set);
    closeListeners(first);
    const client = await dial(own.peer, { address: POD.v4, port: HBONE_PORT });
    const second = duplicateListeners(set);
    const server = await EchoServer.adopt(second.hbone, 'second:');
    assert.equal(await ask(client, 'x'), 'second:x');
    client.destroy();
    await server.stop();
    closeListeners({ ...second, hbone: set.hbone });
    closeListeners({ ...set, hbone: -1 });
  });

  it('hands queued connections over to another set that stays', async () => {
    await applyCapture(own.pod, OPTIONS);
    const leaving = openListeners(own.pod);
    const queued = await Promise.all(
      Array.from({ length: 8 }, () => dial(own.peer, { address: POD.v4, port: HBONE_PORT })),
    );
    const staying = openListeners(own.pod);
    closeListeners(leaving);
    const server = await EchoServer.adopt(staying.hbone, 'new:');
    assert.deepEqual(
      await Promise.all(queued.map((socket) => ask(socket, 'x'))),
      queued.map(() => 'new:x'),
    );
    for (const socket of queued) {
      socket.destroy();
    }
    await server.stop();
    closeListeners({ ...staying, hbone: -1 });
  });
});
