/**
 * Ambit on two nodes: how long from `meshctl install` to the first encrypted request, and what an agent takes with a full node.
 *
 * The cluster is that of $KUBECONFIG (with $AMBIT_IMAGE_LOADER and $AMBIT_KUBECTL), else one that $AMBIT_CLUSTER_TOOL brings up. Images are
 * loaded before the clock starts: how fast a registry is says nothing about a mesh.
 */
import { execFileSync, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock } from '@ambit/core';
import { loadImages, type TestImages } from '../../libs/testkit/src/cluster/images.ts';
import { finish, kubectl } from '../../libs/testkit/src/cluster/kubectl.ts';
import type { Metric } from '../measure/result.ts';
import { runRounds } from '../measure/rounds.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const TOOL = resolve(ROOT, process.env['AMBIT_CLUSTER_TOOL'] ?? '../shared/cluster/cluster');
const SYSTEM = 'istio-system';
const NAMESPACE = 'ambit-bench';
const MEBIBYTE = 1024 * 1024;
const WAIT_MS_MAX = 300_000;
/** An agent gives memory of its start, and of pods that came at once, back after a while. */
const SETTLE_MS = 60_000;
const AGENTS = 'app.kubernetes.io/name=ambit-node-agent';

const metric = (caseName: string, key: string, title: string, digits: number): Metric => ({
  ...{ case: caseName, key, title, digits },
  better: 'lower',
});

const METRICS: readonly Metric[] = [
  metric('install', 'installedSeconds', 'meshctl install until everything is ready, s', 1),
  metric('install', 'encryptedSeconds', 'meshctl install to the first encrypted request, s', 1),
  metric('memory', 'emptyMegabytes', 'RSS of an agent with no pod, MB', 1),
  metric('memory', 'fullMegabytes', 'RSS of an agent with so many pods, MB', 1),
];

type Json = Readonly<Record<string, unknown>>;

export const runCluster: Suite = async (options) => {
  const pods = options.quick ? 5 : 100;
  using _cluster = bringUp(options.onProgress);
  const images = await loadImages();
  const nodes = (await kubectl(['get', 'nodes', '-o', 'name'])).trim().split('\n').length;
  const { samples, failures } = await runRounds({
    rounds: options.rounds,
    cases: ['install', 'memory'],
    subjectsOf: () => ['ambit'],
    measure: async (name) =>
      name === 'install' ? await measureInstall(images) : await measureMemory(images, pods),
    onProgress: options.onProgress,
    signal: options.signal,
  });
  return {
    settings: { nodes, pods, agentWorkers: 1, controllers: 1, mtls: 'STRICT' },
    subjects: [
      {
        name: 'ambit',
        title: 'Ambit',
        version: '',
        note: 'bundled images, loaded on the nodes before; both nodes, the control plane and all pods share the machine; plaintext is refused, so the first answer came by mutual TLS',
      },
    ],
    skipped: [],
    metrics: METRICS,
    samples,
    failures,
  };
};

function bringUp(onProgress: SuiteOptions['onProgress']): Disposable {
  if ((process.env['KUBECONFIG'] ?? '') !== '') return { [Symbol.dispose]: () => undefined };
  process.env['MESH_CLUSTER_NAME'] = 'ambit-bench-nodes';
  process.env['MESH_CLUSTER_STATE'] = join(tmpdir(), 'mc-ambit-bench-nodes');
  const call = (...args: readonly string[]): string =>
    execFileSync(TOOL, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  // What a killed run left.
  call('down');
  onProgress(call('up', '--nodes', '2').trim());
  process.env['KUBECONFIG'] = call('kubeconfig').trim();
  process.env['AMBIT_IMAGE_LOADER'] = `${TOOL} import`;
  process.env['AMBIT_KUBECTL'] = `${TOOL} kubectl`;
  return { [Symbol.dispose]: () => void call('down') };
}

async function meshctl(...args: readonly string[]): Promise<void> {
  const main = join(ROOT, 'apps', 'meshctl', 'src', 'main.ts');
  const { code, stdout, stderr } = await finish(spawn(process.execPath, [main, ...args]));
  if (code !== 0) throw new Error(`meshctl ${args[0]}: ${stderr}${stdout}`);
}

async function install({ tag }: TestImages): Promise<void> {
  const values = [
    'hub=docker.io/ambit',
    `tag=${tag}`,
    'strictMtls=true',
    'controller.replicas=1',
    ...['controller', 'agent'].map((name) => `${name}.resources.requests.cpu=10m`),
  ];
  await meshctl('install', '-y', '--timeout', '180s', ...values.flatMap((one) => ['--set', one]));
}

/** Everything of an earlier sample goes first, outside of what is measured. */
async function clear(): Promise<void> {
  await kubectl(['delete', 'namespace', NAMESPACE, '--ignore-not-found']);
  const inventory = ['-n', SYSTEM, 'get', 'configmap', 'ambit-install', '--ignore-not-found'];
  const installed = await kubectl([...inventory, '-o', 'name']);
  if (installed.trim() !== '') await meshctl('uninstall', '-y', '--purge', '--force');
  const timeout = `--timeout=${WAIT_MS_MAX / 1_000}s`;
  await kubectl(['wait', '--for=delete', `namespace/${SYSTEM}`, timeout]);
}

async function measureInstall(images: TestImages): Promise<Record<string, number>> {
  await clear();
  const begunMs = systemClock.wallNow();
  await install(images);
  const installedMs = systemClock.wallNow();
  await apply(
    { ...namespace(), metadata: { name: NAMESPACE, labels: ENROLLED } },
    pod('server', images.program('go'), ['/go', 'server', '8080']),
    service('server'),
    pod('client', images.program('node'), ['node', '-e', FIRST_ANSWER]),
  );
  const answeredMs = await untilNumber(
    async () => await kubectl(['-n', NAMESPACE, 'logs', 'client']),
  );
  return {
    installedSeconds: (installedMs - begunMs) / 1_000,
    encryptedSeconds: (answeredMs - begunMs) / 1_000,
  };
}

async function measureMemory(images: TestImages, count: number): Promise<Record<string, number>> {
  await clear();
  await install(images);
  const node = (await kubectl(['get', 'nodes', '-o', 'jsonpath={.items[0].metadata.name}'])).trim();
  await systemClock.sleep(SETTLE_MS);
  const empty = await agentBytes(node);
  const spec = {
    terminationGracePeriodSeconds: 0,
    nodeSelector: { 'kubernetes.io/hostname': node },
    containers: [{ name: 'app', image: images.program('c'), command: ['/c', 'server', '8080'] }],
  };
  const labels = { app: 'tiny' };
  await apply(
    { ...namespace(), metadata: { name: NAMESPACE, labels: ENROLLED } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'tiny', namespace: NAMESPACE },
      spec: {
        replicas: count,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec },
      },
    },
  );
  const timeout = `--timeout=${WAIT_MS_MAX / 1_000}s`;
  await kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/tiny', timeout]);
  await systemClock.sleep(SETTLE_MS);
  const full = await agentBytes(node);
  return { emptyMegabytes: empty / MEBIBYTE, fullMegabytes: full / MEBIBYTE };
}

/** As the agent says it of itself. */
async function agentBytes(node: string): Promise<number> {
  const field = `--field-selector=spec.nodeName=${node}`;
  const name = ['-o', 'jsonpath={.items[0].metadata.name}'];
  const agent = await kubectl(['-n', SYSTEM, 'get', 'pods', '-l', AGENTS, field, ...name]);
  const path = `/api/v1/namespaces/${SYSTEM}/pods/${agent.trim()}:15020/proxy/metrics`;
  const text = await kubectl(['get', '--raw', path]);
  const found = /^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1];
  if (found === undefined) throw new Error(`${agent} does not say its memory`);
  return Number(found);
}

async function apply(...items: readonly Json[]): Promise<void> {
  await kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
}

async function untilNumber(read: () => Promise<string>): Promise<number> {
  const deadline = systemClock.now() + WAIT_MS_MAX;
  for (;;) {
    // The container may not be there yet.
    const value = Number((await read().catch(() => '')).trim() || Number.NaN);
    if (!Number.isNaN(value)) return value;
    if (systemClock.now() > deadline) throw new Error('no answer came');
    await systemClock.sleep(200);
  }
}

const ENROLLED = { 'istio.io/dataplane-mode': 'ambient' };
/** Prints the wall clock at the first answer. */
const FIRST_ANSWER = `
const ask = () => fetch('http://server/').then((answer) => answer.text()).then(() => console.log(Date.now()), () => setTimeout(ask, 20));
ask(); setInterval(() => {}, 1e6);`;

function namespace(): Json {
  return { apiVersion: 'v1', kind: 'Namespace' };
}

function pod(name: string, image: string, command: readonly string[]): Json {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name, image, command }] },
  };
}

function service(name: string): Json {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  };
}
