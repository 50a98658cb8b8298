/**
 * A node without its agent: pods of enrolled namespaces wait before their first instruction, others start. What a pod says
 * from then on is never on the wire in clear.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { kubectl } from './kubectl.ts';
import { AGENT, MeshCluster, SYSTEM } from './mesh-cluster.ts';
import { ENROLLED, pod } from './objects.ts';

const WORD = 'sh0uted-in-clear';
/** The pod shouts fifty times a second, if it runs. */
const WAITED_MS = 3_000;

let mesh: MeshCluster;
let enrolled: string;
let free: string;

before(async () => {
  mesh = await MeshCluster.open();
  enrolled = await mesh.namespace('enrolled', ENROLLED);
  free = await mesh.namespace('free');
  const [, second] = mesh.nodes;
  for (const namespace of [enrolled, free]) {
    await mesh.apply(pod(mesh.images, { name: 'server', namespace, program: 'go', node: second }));
    await mesh.ready(namespace);
  }
});
after(async () => {
  await agents(true);
  await mesh?.[Symbol.asyncDispose]();
});

/** By a selector that no node has; its pods end as they do at any update. */
async function agents(areWanted: boolean): Promise<void> {
  const nodeSelector = { 'ambit-test/nowhere': areWanted ? null : 'yes' };
  const patch = JSON.stringify({ spec: { template: { spec: { nodeSelector } } } });
  await kubectl(['-n', SYSTEM, 'patch', AGENT, '--type=merge', '-p', patch]);
  if (areWanted) {
    await mesh.rollout(AGENT);
    return;
  }
  await mesh.until('no agent is left', async () => {
    const pods = await mesh.pods(SYSTEM, 'app.kubernetes.io/name=ambit-node-agent');
    return pods.length === 0;
  });
}

/** Bound to its node by name: the scheduler would keep it away from a node without agent. */
async function startShouting(namespace: string, name: string): Promise<void> {
  const [server] = await mesh.pods(enrolled, 'app=server');
  const command = ['/c', 'shout', server?.ip ?? '', '8080', `${WORD}-${name}`];
  const spec = { nodeName: mesh.nodes[0], nodeSelector: undefined };
  const container = { command, readinessProbe: undefined };
  await mesh.apply(pod(mesh.images, { name, namespace, program: 'c', container, spec }));
}

async function phase(namespace: string, name: string): Promise<string | undefined> {
  return (await mesh.pods(namespace, `app=${name}`))[0]?.phase;
}

const runs = async (namespace: string, name: string): Promise<void> =>
  await mesh.until(
    `${name} runs`,
    async () => (await phase(namespace, name)) === 'Running',
    60_000,
  );

describe('a node without its agent', { timeout: 240_000 }, () => {
  it('starts pods outside of the mesh; those inside wait, and say nothing in clear', async () => {
    await agents(false);
    const sniffers = await Promise.all(
      mesh.nodes.map(async (node) => await mesh.sniff(node, `${WORD}-inside`, `${WORD}-outside`)),
    );
    await Promise.all([startShouting(enrolled, 'inside'), startShouting(free, 'outside')]);
    await runs(free, 'outside');
    const events = ['-n', enrolled, 'get', 'events', '-o', 'jsonpath={.items[*].message}'];
    await mesh.until('an event says what the pod waits for', async () =>
      /waits for the node agent/.test(await kubectl(events)),
    );
    await systemClock.sleep(WAITED_MS);
    assert.equal(await phase(enrolled, 'inside'), 'Pending');
    await agents(true);
    await runs(enrolled, 'inside');
    await systemClock.sleep(WAITED_MS);
    const counts = await Promise.all(sniffers.map(async (sniffer) => await sniffer.stop()));
    const sum = (word: string): number =>
      counts.reduce((all, found) => all + (found.get(word) ?? 0), 0);
    assert.ok(sum(`${WORD}-outside`) > 0, 'the other pod is heard');
    assert.equal(sum(`${WORD}-inside`), 0, 'in clear by the pod of the mesh');
    assert.equal(await phase(enrolled, 'inside'), 'Running');
  });

  it('leaves pods that run closed, not open, and lets them talk again', async () => {
    await mesh.apply(
      pod(mesh.images, {
        name: 'client',
        namespace: enrolled,
        program: 'client',
        node: mesh.nodes[0],
      }),
    );
    await mesh.ready(enrolled, 'app=client');
    const [server] = await mesh.pods(enrolled, 'app=server');
    const caller = mesh.caller(enrolled, 'client');
    const ask = async () =>
      await caller.http({ url: `http://${server?.ip}:8080/`, timeoutMs: 2_000 });
    assert.equal((await ask()).status, 200);
    await agents(false);
    assert.equal((await ask()).status, 0, 'nobody carries it, and it does not go around');
    const [inside] = await mesh.pods(enrolled, 'app=inside');
    await kubectl(['-n', enrolled, 'delete', 'pod', 'inside']);
    await agents(true);
    await mesh.until('it is carried again', async () => (await ask()).status === 200);
    const rules = await mesh.onNode(mesh.nodes[0], 'nft', 'list', 'ruleset');
    const address = new RegExp(`\\b${inside?.ip.replaceAll('.', '\\.')}\\b`);
    assert.doesNotMatch(rules, address, 'of a pod that went while no agent was there');
  });

  it('gets its plugin back when the network configuration is written over', async () => {
    const [node] = mesh.nodes;
    const file = (await mesh.onNode(node, 'sh', '-c', 'grep -l ambit-cni /etc/cni/net.d/*')).trim();
    const read = async (): Promise<string> => await mesh.onNode(node, 'cat', file);
    const list = JSON.parse(await read()) as { readonly plugins: readonly { type: string }[] };
    const plugins = list.plugins.filter(({ type }) => type !== 'ambit-cni');
    assert.equal(plugins.length, list.plugins.length - 1);
    const text = Buffer.from(JSON.stringify({ ...list, plugins })).toString('base64');
    await mesh.onNode(node, 'sh', '-c', `echo ${text} | base64 -d > ${file}`);
    await mesh.until('the plugin is in it', async () => (await read()).includes('ambit-cni'));
  });
});
