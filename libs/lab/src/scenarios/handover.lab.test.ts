import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { agentFolder } from '../mesh-programs.ts';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml, serviceYaml } from './bed.ts';
import type { Caller } from './caller.ts';
import { startLoads } from './loads.ts';

const URL = 'http://server.shop/';
/** Of each kind, after the first agent began to drain. */
const REQUESTS = 30;

let bed: Bed;
let client: Caller;

before(async () => {
  bed = await makeBed(
    [
      namespaceYaml('shop'),
      echoYaml({ name: 'server', node: 'node1' }),
      serviceYaml('server'),
      clientYaml({ name: 'client', node: 'node2' }),
    ].join(''),
    // Half of it is what an agent waits for its successor; less than the lab's patience.
    { extraEnv: { agent: { CONNECTION_TERMINATION_DEADLINE: '7s' } } },
  );
  client = bed.caller('shop/client');
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

/** How often an agent of the node said so, over all its processes. */
function times(node: string, message: string): number {
  return bed.lab.logs(`agent/${node}`).split(`"message":"${message}"`).length - 1;
}

describe('an agent that follows another one on its node', () => {
  for (const [node, role] of [
    ['node1', 'server'],
    ['node2', 'client'],
  ] as const) {
    for (const endFirst of ['when served', 'at once'] as const) {
      it(`takes over from it, which is told to end ${endFirst}, at the ${role}, and no request fails`, async () => {
        const { lab } = bed;
        const drains = times(node, 'draining');
        const stopLoads = await startLoads(client, URL, 10);
        assert.ok((await client.hold('kept', 'server.shop', 9000)).ok);
        const replaced = lab.mesh?.replaceAgent(node, endFirst);
        await lab.waitFor(() => times(node, 'draining') === drains + 1, { what: 'the drain' });
        for (let sent = 0; sent < REQUESTS; sent++) {
          assert.deepEqual(await client.ping('kept'), { ok: true });
          assert.equal((await client.http({ url: URL })).status, 200);
        }
        await stopLoads(REQUESTS);
        // With nothing open the first agent need not wait for its deadline. Once it does.
        const isReleased = role === 'client' || endFirst === 'at once';
        if (isReleased) await client.release();
        await replaced;
        assert.equal((await client.ping('kept')).ok, false);
        assert.equal(times(node, 'another agent follows on this node'), drains + 1);
        assert.doesNotMatch(lab.logs(`agent/${node}`), /"succession":"late"/);
        assert.equal((await client.http({ url: URL })).status, 200);
        const sockets = readdirSync(agentFolder(lab.paths, nodeOf(node))).filter((name) =>
          name.includes('.sock'),
        );
        assert.deepEqual(
          sockets.map((name) => name.replace(/\.[0-9a-f]{8}$/, '.ID')),
          ['admin.sock', 'admin.sock.ID', 'agent.sock', 'agent.sock.ID'],
        );
        await lab.ready();
      });
    }
  }
});

describe('an agent that is killed', () => {
  it('costs only the connections that were on it: new ones wait for the next one', async () => {
    const { lab } = bed;
    assert.ok((await client.hold('on-it', 'server.shop', 9000)).ok);
    // Connected to its own agent alone, it would be one of those that wait.
    assert.deepEqual(await client.ping('on-it'), { ok: true });
    await client.startLoad('new', { url: URL }, 20);
    const restarts = (): number =>
      lab.status().components.find(({ name }) => name === 'agent/node1')?.restarts ?? 0;
    const before = restarts();
    lab.kill('agent/node1');
    await lab.waitFor(() => restarts() > before, { what: 'the next agent' });
    assert.equal((await client.http({ url: URL })).status, 200);
    const { sent, ok, errors } = await client.stopLoad('new');
    assert.deepEqual([ok, errors], [sent, {}]);
    assert.ok(sent > REQUESTS);
    assert.equal((await client.ping('on-it')).ok, false);
  });
});

function nodeOf(name: string) {
  const node = bed.lab.network.nodes.find((one) => one.name === name);
  assert.ok(node);
  return node;
}
