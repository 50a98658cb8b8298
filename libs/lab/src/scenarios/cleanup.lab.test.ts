import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { readSysctl, runIp, runNft } from '@ambit/netns';
import { agentFolder, programArgv } from '../mesh-programs.ts';
import type { LabNode } from '../network.ts';
import { startProcess } from '../process.ts';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml, serviceYaml } from './bed.ts';

let bed: Bed;

before(async () => {
  bed = await makeBed(
    [
      namespaceYaml('shop'),
      echoYaml({ name: 'server', node: 'node1' }),
      serviceYaml('server'),
      clientYaml({ name: 'near', node: 'node1' }),
      clientYaml({ name: 'far', node: 'node2' }),
    ].join(''),
  );
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

/** Runs `node-agent cleanup` on a node. */
async function cleanup(node: LabNode, ...more: readonly string[]) {
  const folder = agentFolder(bed.lab.paths, node);
  const { child, ended } = startProcess(
    {
      netns: node.netns,
      argv: [...programArgv('node-agent'), 'cleanup', '--run-dir', folder, ...more],
      cwd: '/',
      env: {},
      mounts: [],
      ownsPids: false,
    },
    ['ignore', 'pipe', 'pipe'],
  );
  const [out, err] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  return { code: (await ended).code, out, err };
}

async function textOf(stream: Readable | null): Promise<string> {
  return ((await stream?.setEncoding('utf8').toArray()) ?? []).join('');
}

async function call(from: string): Promise<string> {
  try {
    return (await bed.caller(from).echo('http://server.shop/')).pod ?? 'nobody';
  } catch {
    return 'refused';
  }
}

describe('node-agent cleanup', () => {
  it('touches nothing while an agent serves', async () => {
    const [node] = bed.lab.network.nodes;
    assert.ok(node);
    const { code, err } = await cleanup(node);
    assert.equal(code, 3);
    assert.match(err, /an agent serves at .*\.sock: end it first, or use --stop/);
    assert.match(await call('shop/far'), /^server-/);
  });

  it('leaves pods closed until it has run, and plain afterwards', async () => {
    const { lab } = bed;
    for (const node of lab.network.nodes) {
      await lab.mesh?.components.get(`agent/${node.name}`)?.stop();
    }
    assert.equal(await call('shop/far'), 'refused');
    for (const node of lab.network.nodes) {
      const { code, out, err } = await cleanup(node);
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, /released pod shop\/[\s\S]*nothing of the agent is left/);
    }
    for (const name of ['near', 'far']) {
      assert.match(await call(`shop/${name}`), /^server-/, name);
    }
  });

  it('leaves nothing in pods and on nodes', async () => {
    const { lab } = bed;
    for (const { network, key } of lab.cluster.pods.all) {
      assert.ok(network);
      assert.equal(await runNft(network.netns, ['list', 'ruleset']), '', key);
      for (const family of ['-4', '-6']) {
        assert.doesNotMatch(await runIp(network.netns, [family, 'rule']), /0x111/, key);
        const table = runIp(network.netns, [family, 'route', 'show', 'table', '15008']);
        assert.equal(await table.catch(() => ''), '', key);
      }
      assert.equal(readSysctl(network.netns, 'net.ipv4.tcp_migrate_req'), '0', key);
    }
    for (const node of lab.network.nodes) {
      assert.doesNotMatch(await runNft(node.netns, ['list', 'tables']), /ambit-host/);
      assert.ok(!existsSync(join(agentFolder(lab.paths, node))), node.name);
    }
  });

  it('may be repeated', async () => {
    for (const node of bed.lab.network.nodes) {
      assert.equal((await cleanup(node)).code, 0);
    }
  });
});
