/**
 * The plugin in a real container runtime: pods of Kubernetes wait for the agent, or do not.
 *
 * Needs a tool that runs programs on nodes (`up --nodes --mount`, `exec`, `kubectl`, `down`): $AMBIT_CLUSTER_TOOL. The
 * controller reads its objects from a folder, to which this test copies what the API server has.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '@ambit/core';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../../../..');
const TOOL = resolve(root, process.env['AMBIT_CLUSTER_TOOL'] ?? '../shared/cluster/cluster');
const LIST = '/etc/cni/net.d/10-mesh-cluster.conflist';
const AGENT_POD = 'ambit-node-agent-host1';
const CONTROLLER = '10.90.0.1';

let folder = '';
let env: NodeJS.ProcessEnv = {};
let agent: ChildProcess | undefined;
let controller: ChildProcess | undefined;
let originalList = '';
const stopped = new AbortController();
let copying: Promise<void> | undefined;

async function tool(...args: readonly string[]): Promise<string> {
  return (await run(TOOL, args, { env, maxBuffer: 64 * 1024 * 1024 })).stdout;
}

const onNode = (command: string): Promise<string> => tool('exec', 'node1', 'sh', '-c', command);

async function until(what: string, check: () => Promise<boolean>, ms = 45_000): Promise<void> {
  const deadline = systemClock.now() + ms;
  while (!(await check().catch(() => false))) {
    if (systemClock.now() > deadline) {
      const tail = (name: string) => readFileSync(join(folder, name), 'utf8').slice(-2_000);
      assert.fail(`did not happen: ${what}\n${tail('agent.log')}\n${tail('controller.log')}`);
    }
    await systemClock.sleep(250);
  }
}

/** A program on a node or beside the control plane; its log and its process id there are in the folder. */
function start(place: string, name: string, app: string, settings: Record<string, string>) {
  const log = join(folder, `${name}.log`);
  const words = Object.entries(settings).map(([key, value]) => `${key}='${value}'`);
  const program = `exec env ${words.join(' ')} ${process.execPath} ${root}/apps/${app}/src/main.ts`;
  const command = `echo $$ > ${folder}/${name}.pid; ${program} >> ${log} 2>&1`;
  return spawn(TOOL, ['exec', place, 'sh', '-c', command], { env, stdio: 'ignore' });
}

function startAgent(): ChildProcess {
  return start('node1', 'agent', 'node-agent', {
    NODE_NAME: 'node1',
    POD_NAME: AGENT_POD,
    POD_NAMESPACE: 'istio-system',
    SERVICE_ACCOUNT: 'ambit-node-agent',
    INSTANCE_IP: '10.90.0.11',
    XDS_ADDRESS: `https://${CONTROLLER}:15012`,
    XDS_ROOT_CA: join(folder, 'state/ca/root-cert.pem'),
    CA_ROOT_CA: join(folder, 'state/ca/root-cert.pem'),
    AMBIT_TOKEN_PATH: join(folder, 'token'),
    AMBIT_RUN_DIR: '/var/run/ambit',
    AMBIT_CNI_BIN_DIR: '/opt/cni/bin',
    AMBIT_CNI_CONF_DIR: '/etc/cni/net.d',
    AMBIT_CNI_PAYLOAD: folder,
    TERMINATION_GRACE_PERIOD_SECONDS: '2',
  });
}

async function killAgent(): Promise<void> {
  await onNode(`kill -9 $(cat ${folder}/agent.pid)`);
}

async function isReady(): Promise<boolean> {
  return (await onNode('curl -s http://127.0.0.1:15021/healthz/ready')).includes('ready\n');
}

interface AgentPod {
  readonly pod: { readonly name: string; readonly serviceAccount: string };
  readonly state: string;
}

async function agentPods(): Promise<readonly AgentPod[]> {
  const text = await onNode('curl -s --unix-socket /var/run/ambit/agent.sock http://agent/v1/pods');
  return JSON.parse(text) as readonly AgentPod[];
}

function writeObject(name: string, object: unknown): void {
  const path = join(folder, 'objects', `${name}.yaml`);
  writeFileSync(`${path}.new`, JSON.stringify(object));
  renameSync(`${path}.new`, path);
}

/** What the API server has, to where the controller reads it. */
async function copyObjects(): Promise<void> {
  const written = new Set<string>();
  while (!stopped.signal.aborted) {
    const text = await tool('kubectl', 'get', 'namespaces,pods', '-A', '-o', 'json');
    const { items } = JSON.parse(text) as {
      readonly items: readonly {
        readonly kind: string;
        readonly metadata: { readonly name: string; readonly namespace?: string };
      }[];
    };
    const names = new Set<string>();
    for (const item of items) {
      const name = `${item.kind}.${item.metadata.namespace ?? ''}.${item.metadata.name}`;
      names.add(name);
      writeObject(name, item);
    }
    for (const name of [...written].filter((one) => !names.has(one))) {
      rmSync(join(folder, 'objects', `${name}.yaml`), { force: true });
    }
    for (const name of names) {
      written.add(name);
    }
    await systemClock.sleep(300);
  }
}

interface Named {
  readonly metadata: { readonly name: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

async function apply(object: Named): Promise<void> {
  const path = join(folder, `${object.metadata.name}.json`);
  writeFileSync(path, JSON.stringify(object));
  await tool('kubectl', 'apply', '-f', path);
}

const namespace = (name: string, labels: Record<string, string>): Promise<void> =>
  apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });

const pod = (
  namespace: string,
  name: string,
  annotations: Record<string, string> = {},
): Promise<void> =>
  apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, annotations },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'app', image: 'mesh-cluster.local/pause:1' }],
    },
  });

async function phase(namespace: string, name: string): Promise<string> {
  const path = 'jsonpath={.status.phase}';
  return await tool('kubectl', '-n', namespace, 'get', 'pod', name, '-o', path);
}

const runs = (namespace: string, name: string): Promise<void> =>
  until(`${namespace}/${name} runs`, async () => (await phase(namespace, name)) === 'Running');

async function isCaptured(name: string): Promise<boolean> {
  return (await agentPods()).some((row) => row.pod.name === name && row.state === 'captured');
}

before(async () => {
  // Short: unix sockets are named in it.
  folder = mkdtempSync('/tmp/ambit-cni-');
  const state = join(folder, 'cluster');
  env = { ...process.env, MESH_CLUSTER_NAME: 'ambit-cni', MESH_CLUSTER_STATE: state };
  mkdirSync(join(folder, 'objects'));
  for (const name of ['agent.log', 'controller.log']) {
    writeFileSync(join(folder, name), '');
  }
  await tool('up', '--nodes', '1', '--mount', `${root}:${root}`, '--mount', `${folder}:${folder}`);
  env = { ...env, KUBECONFIG: (await tool('kubeconfig')).trim() };
  originalList = await onNode(`cat ${LIST}`);
  const plugin = join(import.meta.dirname, 'plugin/main.ts');
  const options = ['--bundle', '--platform=node', '--format=cjs', '--log-level=error'];
  const esbuild = join(root, 'node_modules/.bin/esbuild');
  await run(esbuild, [plugin, ...options, `--outfile=${folder}/cni.cjs`]);
  const script = join(root, 'manifests/standalone/token.mjs');
  const account = ['--namespace', 'istio-system', '--account', 'ambit-node-agent'];
  const bound = ['--pod', AGENT_POD, '--uid', 'uid-agent', '--node', 'node1'];
  const key = ['--key', join(folder, 'keys')];
  const token = await run(process.execPath, [script, ...key, ...account, ...bound]);
  writeFileSync(join(folder, 'token'), token.stdout);
  writeObject('agent', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: AGENT_POD, namespace: 'istio-system', uid: 'uid-agent' },
    spec: {
      serviceAccountName: 'ambit-node-agent',
      nodeName: 'node1',
      hostNetwork: true,
      containers: [{ name: 'agent' }],
    },
    status: { phase: 'Running', podIP: '10.90.0.11' },
  });
  await namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
  await namespace('bank', {});
  await pod('shop', 'early');
  controller = start('control', 'controller', 'controller', {
    AMBIT_CONFIG_DIRS: join(folder, 'objects'),
    AMBIT_STATE_DIR: join(folder, 'state'),
    AMBIT_TOKEN_JWKS: join(folder, 'keys/jwks.json'),
    AMBIT_SERVING_NAMES: CONTROLLER,
  });
  copying = copyObjects();
  await until('the controller has a root', async () => {
    readFileSync(join(folder, 'state/ca/root-cert.pem'));
    return true;
  });
  agent = startAgent();
});

after(async () => {
  stopped.abort();
  await copying?.catch(() => undefined);
  controller?.kill();
  agent?.kill();
  await tool('down');
  rmSync(folder, { recursive: true, force: true });
});

describe('pods of a real container runtime', () => {
  it('come to the agent once it is in the network configuration', async () => {
    await until('the agent is ready', isReady);
    const list: unknown = JSON.parse(await onNode(`cat ${LIST}`));
    const plugins = (list as { plugins: { type: string }[] }).plugins.map(({ type }) => type);
    assert.deepEqual(plugins, ['ptp', 'portmap', 'ambit-cni']);
  });

  it('are taken in where they ran before it', async () => {
    await until('the early pod is captured', () => isCaptured('early'));
  });

  it('start captured where their namespace is enrolled, and as ever elsewhere', async () => {
    await Promise.all([pod('shop', 'cart'), pod('bank', 'till')]);
    await Promise.all([runs('shop', 'cart'), runs('bank', 'till')]);
    assert.ok(await isCaptured('cart'));
    assert.equal(await isCaptured('till'), false);
  });

  it('wait in ContainerCreating while no agent answers, and say why; others start', async () => {
    await killAgent();
    await Promise.all([pod('shop', 'late'), pod('bank', 'other')]);
    await runs('bank', 'other');
    const events = ['-n', 'shop', 'get', 'events', '-o', 'jsonpath={.items[*].message}'];
    await until('the event says why', async () =>
      /ambit: pod shop\/late waits for the node agent, which does not answer \(nothing listens on its socket\); namespace shop is enrolled/.test(
        await tool('kubectl', ...events),
      ),
    );
    assert.equal(await phase('shop', 'late'), 'Pending');
    agent = startAgent();
    await runs('shop', 'late');
    assert.ok(await isCaptured('late'));
  });

  it('are let go of, also those that went while no agent was there', async () => {
    await tool('kubectl', '-n', 'shop', 'delete', 'pod', 'late');
    await until('the agent knows it no more', async () =>
      (await agentPods()).every((row) => row.pod.name !== 'late'),
    );
    await killAgent();
    await tool('kubectl', '-n', 'shop', 'delete', 'pod', 'cart');
    agent = startAgent();
    await until('the agent is ready', isReady);
    assert.ok((await agentPods()).every((row) => row.pod.name !== 'cart'));
  });

  it('come back to the agent when the configuration is written over', async () => {
    const copy = join(folder, 'list');
    writeFileSync(copy, originalList);
    await onNode(`cp ${copy} ${LIST}`);
    await until('the plugin is in again', async () =>
      (await onNode(`cat ${LIST}`)).includes('ambit-cni'),
    );
  });

  it('start without it after the clean-up, which leaves the node as it was', async () => {
    await pod('shop', 'kept');
    await runs('shop', 'kept');
    const main = `${root}/apps/node-agent/src/main.ts`;
    const places = 'AMBIT_CNI_BIN_DIR=/opt/cni/bin AMBIT_CNI_CONF_DIR=/etc/cni/net.d';
    await onNode(`${places} ${process.execPath} ${main} cleanup --stop`);
    assert.equal(await onNode(`cat ${LIST}`), originalList);
    assert.equal((await onNode('ls -A /opt/cni/bin')).includes('ambit'), false);
    assert.equal((await onNode('ls -A /var/run/ambit 2>/dev/null || true')).trim(), '');
    await pod('shop', 'plain');
    await runs('shop', 'plain');
  });
});
