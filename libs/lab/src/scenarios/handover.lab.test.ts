import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { agentFolder } from '../mesh-programs.ts';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml, serviceYaml } from './bed.ts';
import type { Caller } from './caller.ts';
import { CLOCKS_MS, CUT_OFF, type Drain, drainsIn } from './hand-over.ts';
import { CONNECT_MS, givenUp, killAgent, unexplained } from './kills.ts';
import { startLoads } from './loads.ts';

const URL = 'http://server.shop/';
/** Of each kind, after the first agent began to drain. */
const REQUESTS = 30;
/** For what takes a second on a machine that nobody else uses. */
const PATIENCE_MS = 60_000;
/** Of an agent whose connections are released: it ends long before. Half of it is what it waits for its successor. */
const LONG_DEADLINE_MS = 2 * PATIENCE_MS;
/** Of the one that keeps a connection to its deadline. */
const SHORT_DEADLINE_MS = 8_000;

/** Asked at every start of an agent. */
const agentEnv = { CONNECTION_TERMINATION_DEADLINE: `${LONG_DEADLINE_MS}ms` };

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
    { extraEnv: { agent: agentEnv } },
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

/** The last one of an agent of the node. */
function lastDrain(node: string): Drain {
  const drain = drainsIn(bed.lab.logs(`agent/${node}`)).at(-1);
  assert.ok(drain !== undefined);
  return drain;
}

const pingKept = async (): Promise<boolean> => (await client.ping('kept', PATIENCE_MS)).ok;

async function requestIsServed(): Promise<void> {
  assert.equal((await client.http({ url: URL, timeoutMs: PATIENCE_MS })).status, 200);
}

/** Replaces the agent of a node under load: no request fails. After `whileDraining` the first one lets go of `kept`. */
async function replaceUnderLoad(
  node: string,
  endFirst: 'when served' | 'at once',
  whileDraining: () => Promise<void>,
  loads?: Parameters<typeof startLoads>[3],
): Promise<void> {
  const { lab } = bed;
  const drains = times(node, 'draining');
  const stopLoads = await startLoads(client, URL, 10, loads);
  assert.ok((await client.hold('kept', 'server.shop', 9000)).ok);
  assert.ok(await pingKept());
  const replaced = lab.mesh?.replaceAgent(node, endFirst);
  await lab.waitFor(() => times(node, 'draining') === drains + 1, {
    what: 'the drain',
    timeoutMs: LONG_DEADLINE_MS,
  });
  await whileDraining();
  for (let sent = 0; sent < REQUESTS; sent++) await requestIsServed();
  await stopLoads(REQUESTS);
  await replaced;
  assert.equal(await pingKept(), false);
  assert.equal(times(node, 'another agent follows on this node'), drains + 1);
  assert.doesNotMatch(lab.logs(`agent/${node}`), /"succession":"late"/);
  await requestIsServed();
  const sockets = readdirSync(agentFolder(lab.paths, nodeOf(node))).filter((name) =>
    name.includes('.sock'),
  );
  assert.deepEqual(
    sockets.map((name) => name.replace(/\.[0-9a-f]{8}$/, '.ID')),
    ['admin.sock', 'admin.sock.ID', 'agent.sock', 'agent.sock.ID'],
  );
  await lab.ready(PATIENCE_MS);
}

describe('an agent that follows another one on its node', () => {
  for (const [node, role, endFirst, successorDeadlineMs] of [
    ['node2', 'client', 'when served', LONG_DEADLINE_MS],
    ['node2', 'client', 'at once', LONG_DEADLINE_MS],
    ['node1', 'server', 'at once', SHORT_DEADLINE_MS],
  ] as const) {
    it(`takes over from it, which is told to end ${endFirst}, at the ${role}, and no request fails`, async () => {
      agentEnv.CONNECTION_TERMINATION_DEADLINE = `${successorDeadlineMs}ms`;
      await replaceUnderLoad(node, endFirst, async () => {
        for (let sent = 0; sent < REQUESTS; sent++) {
          assert.ok(await pingKept());
          await requestIsServed();
        }
        // With nothing open the first agent need not wait for its deadline.
        await client.release();
      });
    });
  }

  it('takes over from it at the server while it keeps a connection to its deadline, and no request fails', async () => {
    agentEnv.CONNECTION_TERMINATION_DEADLINE = `${LONG_DEADLINE_MS}ms`;
    const cuts = times('node1', CUT_OFF);
    const toDeadline = async (): Promise<void> => {
      while (await pingKept()) await requestIsServed();
      const { atMs, deadlineMs } = lastDrain('node1');
      assert.ok(deadlineMs <= SHORT_DEADLINE_MS, `${deadlineMs}`);
      assert.ok(Date.now() - atMs >= deadlineMs - CLOCKS_MS, `cut off after ${Date.now() - atMs}`);
    };
    // What is on a connection that stays is cut off with it.
    await replaceUnderLoad('node1', 'when served', toDeadline, ['new']);
    assert.equal(times('node1', CUT_OFF), cuts + 1);
  });
});

describe('an agent that is killed', () => {
  it('costs only the connections that were on it: new ones wait for the next one', async () => {
    const { lab } = bed;
    assert.ok((await client.hold('on-it', 'server.shop', 9000)).ok);
    // Connected to its own agent alone, it would be one of those that wait.
    assert.deepEqual(await client.ping('on-it'), { ok: true });
    await client.startLoad('new', { url: URL, timeoutMs: 2 * CONNECT_MS }, 20);
    const restarts = (): number =>
      lab.status().components.find(({ name }) => name === 'agent/node1')?.restarts ?? 0;
    const before = restarts();
    const killed = await killAgent(lab, 'agent/node1');
    await lab.waitFor(() => restarts() > before, {
      what: 'the next agent',
      timeoutMs: PATIENCE_MS,
    });
    await lab.ready(PATIENCE_MS);
    await requestIsServed();
    const { sent, ok, failures } = await client.stopLoad('new');
    // None is lost that the next agent was there for in time.
    assert.deepEqual(unexplained(failures, [killed], givenUp(lab)), []);
    assert.equal(failures.length, sent - ok);
    assert.ok(ok > REQUESTS);
    assert.equal((await client.ping('on-it')).ok, false);
  });
});

function nodeOf(name: string) {
  const node = bed.lab.network.nodes.find((one) => one.name === name);
  assert.ok(node);
  return node;
}
