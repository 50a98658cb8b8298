import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  adoptUdp,
  bindUdp,
  createNetns,
  currentNetns,
  type Netns,
  runIp,
  runNft,
} from '@ambit/netns';
import { decode, encode } from 'dns-packet';
import { addressesIn, HOST_TABLE } from './capture/host-rules.ts';
import { hasCapture } from './capture/pod-network.ts';
import {
  ask,
  type Cable,
  connectPodAndPeer,
  dial,
  EchoServer,
  PEER,
  POD,
} from './capture/testing.ts';
import {
  AgentProcess,
  SHOP_ENROLLED,
  service,
  TestController,
  until,
  Workspace,
  workload,
} from './testing.ts';

const APP = 8080;
const VIP = '10.96.0.10';
const SERVICE = {
  'shop/server.shop.svc.cluster.local': [{ servicePort: 80, targetPort: APP, appProtocol: 'TCP' }],
} as const;

let folder: Workspace;
let controller: TestController;
let cable: Cable;
let runDir: string;
/** Stands for the node's own namespace. */
let host: Netns;
let server: EchoServer;
let agent: AgentProcess;

function environment(): Readonly<Record<string, string>> {
  return controller.environment(runDir, `/proc/${process.pid}/fd/${host.fd}`);
}

/** Addresses in the node's rule for probes. */
async function probedAddresses(): Promise<readonly string[]> {
  return [...addressesIn(await runNft(host, ['-j', 'list', 'table', 'inet', HOST_TABLE]))].sort();
}

function podEvent(name: string, ns: Netns, address: string) {
  return {
    uid: `uid-${name}`,
    name,
    namespace: 'shop',
    serviceAccount: name,
    labels: {},
    annotations: {},
    netnsPath: `/proc/${process.pid}/fd/${ns.fd}`,
    ips: [address],
  };
}

before(async () => {
  // In a namespace of a test's own it may be down.
  using own = currentNetns();
  await runIp(own, ['link', 'set', 'lo', 'up']);
  folder = new Workspace();
  runDir = join(folder.path, 'node');
  host = createNetns();
  controller = await TestController.start(folder.path);
  cable = await connectPodAndPeer();
  server = await EchoServer.listen(cable.peer, APP, 'server:');
  controller.setEnrolments([SHOP_ENROLLED]);
  controller.setAddresses([
    workload('client', POD.v4),
    workload('server', PEER.v4, { services: SERVICE }),
    service('server', [VIP]),
  ]);
  agent = await AgentProcess.start({ ...environment(), AMBIT_WORKERS: '2' });
});
after(async () => {
  // What a failed `before` did not make is undefined, whatever the types say.
  await (agent as AgentProcess | undefined)?.end('SIGKILL');
  controller.stop();
  await server.stop();
  cable[Symbol.dispose]();
  host[Symbol.dispose]();
  folder[Symbol.dispose]();
});

async function talk(target: { address: string; port: number }): Promise<string> {
  const socket = await dial(cable.pod, target);
  try {
    return await ask(socket, 'x');
  } finally {
    socket.destroy();
  }
}

describe('a node agent', () => {
  it('captures pods of an enrolled namespace and says so', async () => {
    for (const event of [
      podEvent('client', cable.pod, POD.v4),
      podEvent('server', cable.peer, PEER.v4),
    ]) {
      assert.deepEqual(await agent.call('POST', '/v1/pods', event), {
        status: 200,
        body: { captured: true },
      });
    }
    assert.deepEqual(await probedAddresses(), [PEER.v4, POD.v4]);
    await until(() => controller.captured.length === 2, 'captures are reported');
    assert.deepEqual([...controller.captured].sort(), [
      'Kubernetes//Pod/shop/client',
      'Kubernetes//Pod/shop/server',
    ]);
    assert.deepEqual((await agent.call('GET', '/ready', undefined, 'admin.sock')).body, 'ready\n');
    const metrics = String((await agent.call('GET', '/metrics', undefined, 'admin.sock')).body);
    for (const line of [
      'workload_manager_active_proxy_count 2',
      'workload_manager_pending_proxy_count 0',
      'workload_manager_proxies_started_total 2',
      'ambit_tunnels_open 0',
      'ambit_capture_commands_waiting 0',
    ]) {
      assert.ok(metrics.includes(`\n${line}\n`), line);
    }
  });

  it('carries traffic between them through the tunnel', async () => {
    assert.equal(await talk({ address: PEER.v4, port: APP }), 'server:x');
    assert.equal(await talk({ address: VIP, port: 80 }), 'server:x');
    assert.equal(server.arrivals.at(-1)?.from, POD.v4, 'the source address is kept');
    const dump = (await agent.call('GET', '/config_dump', undefined, 'admin.sock')).body;
    const { certificates } = dump as { certificates: { identity: string; state: string }[] };
    assert.deepEqual(
      certificates.map(({ identity, state }) => [identity, state]),
      [
        ['spiffe://cluster.local/ns/shop/sa/client', 'Available'],
        ['spiffe://cluster.local/ns/shop/sa/server', 'Available'],
      ],
    );
    assert.doesNotMatch(JSON.stringify(dump), /PRIVATE KEY/);
  });

  it('answers names from inside the pod', async () => {
    const socket = await adoptUdp(
      bindUdp(cable.pod, { address: '0.0.0.0', port: 0, reusePort: false }),
    );
    const query = encode({
      type: 'query',
      id: 7,
      questions: [{ type: 'A', name: 'server.shop' }],
    });
    socket.send(query, 53, '10.77.0.99');
    const [bytes] = (await once(socket, 'message')) as [Buffer];
    socket.close();
    const answer = decode(bytes);
    assert.deepEqual(
      answer.answers?.map((record) => ('data' in record ? record.data : '')),
      [VIP],
    );
  });

  it('leaves pods alone that are not enrolled, and refuses what is no pod', async () => {
    const other = { ...podEvent('other', cable.pod, POD.v4), uid: 'uid-other', namespace: 'else' };
    // The same namespace under another pod: only the decision matters here.
    assert.equal(
      (await agent.call('POST', '/v1/pods', { ...other, netnsPath: '/nope' })).status,
      503,
    );
    assert.equal((await agent.call('POST', '/v1/pods', { uid: '../x' })).status, 400);
    assert.equal(
      (await agent.call('POST', '/v1/pods', { ...other, netnsPath: '/proc/self/ns/net' })).status,
      400,
    );
  });

  it('refuses everything while it is gone, and a new one takes over what it left', async () => {
    await agent.end('SIGKILL');
    await assert.rejects(talk({ address: PEER.v4, port: APP }), { code: 'ECONNREFUSED' });
    assert.ok(await hasCapture(cable.pod));
    agent = await AgentProcess.start(environment());
    await until(() => controller.captured.length === 2, 'captures are reported again');
    assert.deepEqual(await probedAddresses(), [PEER.v4, POD.v4]);
    assert.equal(await talk({ address: PEER.v4, port: APP }), 'server:x');
  });

  it('hands over to a second agent without a failed request', async () => {
    let isOver = false;
    let count = 0;
    const load = (async () => {
      while (!isOver) {
        assert.equal(await talk({ address: PEER.v4, port: APP }), 'server:x');
        count++;
      }
    })();
    const next = await AgentProcess.start(environment(), { isReplacing: true });
    await until(() => next.output.includes('"to":"captured"'), 'the new agent has the pods');
    await until(
      async () => (await next.call('GET', '/ready', undefined, 'admin.sock')).status === 200,
      'ready',
    );
    await agent.end('SIGTERM');
    agent = next;
    const before = count;
    await until(() => count > before + 3, 'requests go on');
    isOver = true;
    await load;
    assert.equal(
      (await agent.call('GET', '/v1/pods')).status,
      200,
      'the socket is the new agent’s',
    );
  });

  it('goes on when the agent that took over dies', async () => {
    const next = await AgentProcess.start(environment(), { isReplacing: true });
    await until(() => next.output.includes('"to":"captured"'), 'the new agent has the pods');
    await next.end('SIGKILL');
    await until(() => agent.output.includes('this one goes on'), 'the old agent notices');
    assert.equal((await agent.call('GET', '/v1/pods')).status, 200);
    assert.deepEqual((await agent.call('GET', '/ready', undefined, 'admin.sock')).body, 'ready\n');
    assert.equal(
      (await agent.call('POST', '/v1/pods', podEvent('client', cable.pod, POD.v4))).status,
      200,
    );
    assert.equal(await talk({ address: PEER.v4, port: APP }), 'server:x');
  });

  it('releases pods without losing their connections', async () => {
    const socket = await dial(cable.pod, { address: PEER.v4, port: APP });
    assert.equal(await ask(socket, '1'), 'server:1');
    controller.setAddresses([
      workload('client', POD.v4, { tunnelProtocol: 'NONE' }),
      workload('server', PEER.v4, { tunnelProtocol: 'NONE', services: SERVICE }),
      service('server', [VIP]),
    ]);
    controller.setEnrolments([]);
    await until(() => controller.captured.length === 0, 'the release is reported');
    assert.deepEqual(await probedAddresses(), []);
    assert.equal(await ask(socket, '2'), 'server:2');
    assert.equal(await talk({ address: PEER.v4, port: APP }), 'server:x');
    assert.equal(await ask(socket, '3'), 'server:3');
    socket.destroy();
  });

  it('forgets a pod that is gone', async () => {
    for (const name of ['client', 'server']) {
      assert.equal((await agent.call('DELETE', `/v1/pods/uid-${name}`)).status, 200);
    }
    assert.deepEqual((await agent.call('GET', '/v1/pods')).body, []);
    assert.deepEqual(readdirSync(join(runDir, 'pods')), []);
    assert.ok(existsSync(join(runDir, 'enrolled.json')));
  });
});
