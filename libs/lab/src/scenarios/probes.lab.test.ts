import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dialFrom, type Netns, runNft, tcpSocket } from '@ambit/netns';
import {
  type Bed,
  clientYaml,
  echoYaml,
  inForce,
  makeBed,
  namespaceYaml,
  serviceYaml,
  yaml,
} from './bed.ts';

const PROBE_SOURCE = '169.254.7.127';
const PORT = 9002;

let bed: Bed;

before(async () => {
  bed = await makeBed(
    [
      namespaceYaml('shop'),
      namespaceYaml('street', {}),
      yaml({
        apiVersion: 'security.istio.io/v1',
        kind: 'PeerAuthentication',
        metadata: { name: 'default', namespace: 'shop' },
        spec: { mtls: { mode: 'STRICT' } },
      }),
      echoYaml({ name: 'server', node: 'node1' }),
      serviceYaml('server'),
      clientYaml({ name: 'near', namespace: 'street', node: 'node1' }),
      clientYaml({ name: 'far', namespace: 'street', node: 'node2' }),
    ].join(''),
  );
  await inForce(bed.lab, 'PeerAuthentication/shop/default');
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

function nodeOf(name: string): Netns {
  const node = bed.lab.network.nodes.find((one) => one.name === name);
  assert.ok(node);
  return node.netns;
}

async function probedAddresses(): Promise<string> {
  return await runNft(nodeOf('node1'), ['list', 'table', 'inet', 'ambit-host']);
}

/** Packets with the probe source that arrived at the nodes and were dropped. */
async function dropped(node: string): Promise<number> {
  const rules = await runNft(nodeOf(node), ['list', 'chain', 'inet', 'ambit-host', 'prerouting']);
  return [...rules.matchAll(/packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}

describe('probes of a captured pod under STRICT', () => {
  it('pass, from the node alone', async () => {
    const { lab } = bed;
    const server = lab.pod('shop/server');
    // It is ready by its readinessProbe, which the lab makes from the node as kubelet does.
    assert.ok(server.isReady);
    for (const name of ['near', 'far']) {
      const answer = await bed
        .caller(`street/${name}`)
        .tcp({ host: server.addresses[0] ?? '', port: PORT });
      assert.notEqual(answer.error, undefined, name);
    }
  });

  it('cannot be faked by another pod, of this node or another', async () => {
    const { lab } = bed;
    const address = lab.pod('shop/server').addresses[0] ?? '';
    for (const [name, node] of [
      ['near', 'node1'],
      ['far', 'node2'],
    ] as const) {
      const pod = lab.pod(`street/${name}`).network?.netns;
      assert.ok(pod);
      const before = await dropped(node);
      const socket = dialFrom(tcpSocket(pod, { family: 4, sourceAddress: PROBE_SOURCE }), {
        address,
        port: PORT,
      });
      let isConnected = false;
      socket.on('connect', () => {
        isConnected = true;
      });
      socket.on('error', () => undefined);
      await lab.waitFor(async () => (await dropped(node)) > before, { what: 'a drop' });
      assert.ok(!isConnected, name);
      socket.destroy();
    }
  });

  it('pass again when the agent is back, and the rule goes with the pod', async () => {
    const { lab } = bed;
    const [v4 = '', v6 = ''] = lab.pod('shop/server').addresses;
    const before = await probedAddresses();
    assert.ok(before.includes(v4) && before.includes(v6), before);
    assert.ok(lab.mesh?.components.get('agent/node1')?.kill('SIGKILL'));
    await lab.waitFor(() => lab.mesh?.components.get('agent/node1')?.restarts === 1, {
      what: 'a restart',
    });
    assert.ok((await probedAddresses()).includes(v4), 'the rule stays while the agent is gone');
    await lab.ready();
    assert.ok((await probedAddresses()).includes(v4));
    lab.apply(echoYaml({ name: 'server', node: 'node1', replicas: 0 }));
    await lab.waitFor(async () => !(await probedAddresses()).includes(v4), { what: 'its end' });
  });
});
