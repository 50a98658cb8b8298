import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { MeshIndex } from '@ambit/model';
import { adoptUdp, bindUdp, type Netns } from '@ambit/netns';
import { createRegistry, silentLogger } from '@ambit/telemetry';
import { decode, encode } from 'dns-packet';
import { applyCapture } from '../capture/pod-network.ts';
import { DEFAULT_PROBE_SOURCES } from '../capture/rules.ts';
import { type Cable, connectPodAndPeer, dial, EchoServer, PEER } from '../capture/testing.ts';
import type { ServedNames } from '../pods/captured-pod.ts';
import type { Pod } from '../pods/pod.ts';
import { service } from '../testing.ts';
import { createDnsMetrics } from './dns-metrics.ts';
import { DnsUpstream } from './dns-upstream.ts';
import { MeshNames } from './pod-names.ts';
import type { NameServer as Upstream } from './resolv-conf.ts';
import { TcpMessages } from './tcp-messages.ts';

const POD_RECORD: Pod = {
  uid: 'u',
  name: 'client',
  namespace: 'shop',
  serviceAccount: 'client',
  labels: {},
  annotations: {},
  netnsPath: '/unused',
  ips: [],
};

/** Of each kind, at a hand-over. */
const QUESTIONS = 40;

/** What the answer to a question of this upstream is: the question's id, turned around, and something unreadable. */
function strangeAnswer(query: Buffer): Buffer {
  const header = Buffer.from(query.subarray(0, 12));
  header[2] = 0x80;
  return Buffer.concat([header, Buffer.from('bytes that no parser would keep')]);
}

describe('names in a captured pod', () => {
  let cable: Cable;
  let pod: Netns;
  let names: ServedNames;
  let mesh: MeshNames;
  let servers: readonly Upstream[] = [];
  const registry = createRegistry();
  const seen: { query: Buffer; from: string }[] = [];
  const cleanUp: (() => void)[] = [];

  before(async () => {
    cable = await connectPodAndPeer();
    ({ pod } = cable);
    const view = new MeshIndex({ network: '' });
    view.apply({ changed: [service('reviews', ['10.96.0.1', 'fd00::1'])], removed: [] });
    mesh = new MeshNames({
      view,
      clusterDomain: 'cluster.local',
      isIpv6Enabled: true,
      upstream: new DnsUpstream({ clock: systemClock, servers: () => servers }),
      clock: systemClock,
      log: silentLogger(),
      metrics: createDnsMetrics(registry),
      canonicalNameOf: () => ({ name: 'client', revision: 'v1' }),
    });
    names = await mesh.serve(POD_RECORD, pod);
    await applyCapture(pod, {
      dnsCapture: true,
      bypassInbound: false,
      virtualInterfaces: [],
      probeSources: DEFAULT_PROBE_SOURCES,
    });
    for (const address of [PEER.v4, PEER.v6]) {
      const udp = await adoptUdp(bindUdp(cable.peer, { address, port: 53, reusePort: false }));
      udp.on('message', (query, from) => {
        seen.push({ query, from: from.address });
        udp.send(strangeAnswer(query), from.port, from.address);
      });
      cleanUp.push(() => udp.close());
    }
    const tcp = await EchoServer.listen(cable.peer, 53, '');
    tcp.answerWith((socket: Socket) => {
      const messages = new TcpMessages((query) => {
        seen.push({ query: Buffer.from(query), from: socket.remoteAddress ?? '' });
        socket.write(TcpMessages.frame(strangeAnswer(query)));
      });
      return (chunk) => messages.push(chunk);
    });
    cleanUp.push(() => void tcp.stop());
  });
  afterEach(() => {
    seen.length = 0;
  });
  after(async () => {
    await names[Symbol.asyncDispose]();
    for (const clean of cleanUp) {
      clean();
    }
    cable[Symbol.dispose]();
  });

  const question = (name: string, type: 'A' | 'AAAA' | 'MX' = 'A'): Buffer =>
    encode({ type: 'query', id: 4711, flags: 0x100, questions: [{ type, name }] });

  async function askUdp(query: Buffer, server: string): Promise<Buffer> {
    const any = server.includes(':') ? '::' : '0.0.0.0';
    const socket = await adoptUdp(bindUdp(pod, { address: any, port: 0, reusePort: false }));
    const answer = once(socket, 'message') as Promise<[Buffer]>;
    socket.send(query, 53, server);
    const [bytes] = await answer;
    socket.close();
    return bytes;
  }

  async function askTcp(queries: readonly Buffer[], server: string): Promise<readonly Buffer[]> {
    const socket = await dial(pod, { address: server, port: 53 });
    const answers: Buffer[] = [];
    const enough = Promise.withResolvers<void>();
    const messages = new TcpMessages((bytes) => {
      answers.push(Buffer.from(bytes));
      if (answers.length === queries.length) {
        enough.resolve();
      }
    });
    socket.on('data', (chunk: Buffer) => messages.push(chunk));
    socket.write(Buffer.concat(queries.map((query) => TcpMessages.frame(query))));
    await enough.promise;
    socket.destroy();
    return answers;
  }

  const addressesIn = (bytes: Buffer): readonly unknown[] =>
    (decode(bytes).answers ?? []).map((record) => ('data' in record ? record.data : ''));

  // Nobody has these addresses: the answer can only come from the agent.
  for (const server of ['10.77.0.200', 'fd77::200']) {
    it(`are answered whatever server the pod asks, here ${server}`, async () => {
      assert.deepEqual(addressesIn(await askUdp(question('reviews'), server)), ['10.96.0.1']);
      assert.deepEqual(addressesIn(await askUdp(question('reviews.shop', 'AAAA'), server)), [
        'fd00::1',
      ]);
      const answers = await askTcp([question('reviews'), question('reviews.shop')], server);
      assert.deepEqual(answers.map(addressesIn), [['10.96.0.1'], ['10.96.0.1']]);
    });
  }

  for (const [family, address] of Object.entries(PEER)) {
    it(`go upstream and back byte for byte, ${family}`, async () => {
      servers = [{ address, port: 53 }];
      const query = Buffer.concat([question('example.com', 'MX'), Buffer.from([1, 2, 3])]);
      assert.deepEqual(await askUdp(query, '10.77.0.200'), strangeAnswer(query));
      assert.deepEqual(await askTcp([query], '10.77.0.200'), [strangeAnswer(query)]);
      assert.deepEqual(
        seen.map((one) => one.query),
        [query, query],
      );
      assert.match(seen[0]?.from ?? '', /^(10\.77\.0\.2|fd77::2)$/, 'the pod asks, not the node');
    });
  }

  it('go to the next server when one refuses or cannot be reached', async () => {
    servers = [
      { address: PEER.v4, port: 5353 },
      { address: '255.255.255.255', port: 53 },
      { address: PEER.v4, port: 53 },
    ];
    const query = question('example.com');
    assert.deepEqual(await askUdp(query, '10.77.0.200'), strangeAnswer(query));
    assert.deepEqual(await askTcp([query], '10.77.0.200'), [strangeAnswer(query)]);
  });

  it('fail with an answer when no server does', async () => {
    servers = [{ address: PEER.v4, port: 5353 }];
    const answer = await askUdp(question('example.com'), '10.77.0.200');
    assert.equal((answer[3] ?? 0) & 15, 2);
    servers = [];
    assert.equal(((await askUdp(question('example.com'), '10.77.0.200'))[3] ?? 0) & 15, 2);
  });

  it('are answered to the last one when another agent takes over', async () => {
    servers = [{ address: PEER.v4, port: 53 }];
    const socket = await adoptUdp(bindUdp(pod, { address: '0.0.0.0', port: 0, reusePort: false }));
    const answered = new Set<number>();
    const all = Promise.withResolvers<void>();
    socket.on('message', (bytes) => {
      answered.add(bytes.readUInt16BE(0));
      if (answered.size === 3 * QUESTIONS) all.resolve();
    });
    const ask = (first: number, name: string): void => {
      for (let id = first; id < first + QUESTIONS; id++) {
        const query = question(name);
        query.writeUInt16BE(id);
        socket.send(query, 53, '10.77.0.200');
      }
    };
    ask(0, 'reviews');
    ask(1_000, 'example.com');
    // They are sent when the tick is over, and read no sooner than in the next turn of the loop.
    await new Promise((resolve) => process.nextTick(resolve));
    const left = names.leave();
    names = await mesh.serve(POD_RECORD, pod);
    ask(2_000, 'reviews');
    await left;
    await all.promise;
    socket.close();
  });

  it('have a bound on connections, and count what is beyond', async () => {
    const sockets: Socket[] = [];
    for (let i = 0; i < 65; i++) {
      sockets.push(await dial(pod, { address: '10.77.0.200', port: 53 }));
    }
    const last = sockets.at(-1);
    assert.ok(last);
    await once(last.resume(), 'close');
    assert.match(await registry.metrics(), /ambit_dns_refused_total\{limit="tcp_connections"\} 1/);
    for (const socket of sockets) {
      socket.destroy();
    }
  });
});
