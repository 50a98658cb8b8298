import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { AdminServer } from '@ambit/telemetry';
import { CniPods } from '../cni-pods.ts';
import { cniRoutes } from '../cni-routes.ts';

const ENV = {
  CNI_CONTAINERID: 'c0ffee',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart-0;K8S_POD_UID=u-1',
} as const;
const RESULT = { cniVersion: '1.1.0', ips: [{ address: '10.0.0.5/24' }] };
const log = { scoped: () => log, info() {}, warn() {}, error() {}, debug() {} };

let runDir = '';
let server: AdminServer | undefined;

beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'ambit-plugin-'));
  writeFileSync(join(runDir, 'enrolled.json'), '["shop"]');
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
  rmSync(runDir, { recursive: true, force: true });
});

async function run(command: string, stdin?: string) {
  const main = join(import.meta.dirname, 'main.ts');
  const child = spawn(process.execPath, [main], { env: { ...ENV, CNI_COMMAND: command } });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const config = { cniVersion: '1.1.0', name: 'pods', type: 'ambit-cni', runDir };
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin ?? JSON.stringify({ ...config, prevResult: RESULT }));
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { exitCode, stdout };
}

/** The agent's own routes on a real socket, over a registry that captures everything. */
async function serve(): Promise<readonly string[]> {
  const seen: string[] = [];
  const pods = new CniPods({
    clock: systemClock,
    log: log as never,
    pods: {
      rows: [],
      enrolments: new Map(),
      put: async (pod) => {
        seen.push(`${pod.namespace}/${pod.name} ${pod.serviceAccount} ${pod.ips.join()}`);
        return true;
      },
      remove: () => Promise.resolve(),
    },
    isConnected: () => true,
    exemptNamespaces: new Set(),
  });
  const facts = { namespace: 'shop', name: 'cart-0', uid: 'u-1', node: 'n', annotations: {} };
  pods.applyFacts([{ ...facts, serviceAccount: 'cart' }], []);
  server = new AdminServer({ title: 'test', routes: cniRoutes(pods), log: log as never });
  await server.listen({ socketPath: join(runDir, 'agent.sock') });
  return seen;
}

describe('the plugin as a process', () => {
  it('asks the agent and hands the result on', async () => {
    const seen = await serve();
    const { exitCode, stdout } = await run('ADD');
    assert.equal(exitCode, 0, stdout);
    assert.deepEqual(JSON.parse(stdout), RESULT);
    assert.deepEqual(seen, ['shop/cart-0 cart 10.0.0.5']);
    for (const command of ['CHECK', 'DEL', 'STATUS']) {
      assert.deepEqual(await run(command), { exitCode: 0, stdout: '' }, command);
    }
  });

  it('fails without an agent, on stdout and in its log', async () => {
    const { exitCode, stdout } = await run('ADD');
    assert.equal(exitCode, 1);
    assert.match(stdout, /"code":11,"msg":"ambit: pod shop\/cart-0 waits for the node agent/);
    assert.match(readFileSync(join(runDir, 'cni.log'), 'utf8'), /waits for the node agent/);
  });

  it('refuses a configuration that never ends', async () => {
    const { exitCode, stdout } = await run('ADD', `{"a":"${'x'.repeat(2 * 1024 * 1024)}"}`);
    assert.equal(exitCode, 1);
    assert.match(stdout, /"code":6/);
  });
});
