/**
 * A cluster that runs Istio, and Ambit beside it under a revision of its own: nothing of Istio's is touched, from the installation
 * to the end, and only what is labelled for Ambit is in its mesh.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import type { KubeObject } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';

import { ISTIO, Istio } from './beside-istio.testing.ts';
import { applyCrds } from './crd/crds.testing.ts';
import { readIstioCrds } from './crd/istio-crds.testing.ts';
import { until } from './until.testing.ts';

const MESHCTL = join(import.meta.dirname, '..', '..', 'meshctl', 'src', 'main.ts');
const CRDS = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
};
const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' };
const PODS = { group: '', version: 'v1', resource: 'pods' };
const POLICIES = { group: 'security.istio.io', version: 'v1', resource: 'authorizationpolicies' };
const WEBHOOKS = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  resource: 'validatingwebhookconfigurations',
};
const NODES = { group: '', version: 'v1', resource: 'nodes' };
const NAMESPACES = { group: '', version: 'v1', resource: 'namespaces' };
const POD_SECURITY = 'pod-security.kubernetes.io/';
const run = promisify(execFile);

let cluster: TestCluster;
let istio: Istio;
let folder: string;
let controller: ChildProcess;
let ofIstio: ReadonlyMap<string, string | undefined>;
let definitions: readonly string[];

const meshctl = async (...args: readonly string[]): Promise<string> =>
  (await run(process.execPath, [MESHCTL, ...args, '--kubeconfig', cluster.kubeconfigPath])).stdout;

before(async () => {
  // A cluster of its own: it is Istio's.
  cluster = await openTestCluster('beside', { isOwn: true });
  await applyCrds(cluster, readIstioCrds());
  istio = await Istio.install(cluster);
  for (const [namespace, name, labels, annotations] of PODS_MADE) {
    await makePod({ namespace, name, labels, annotations });
  }
  for (const [name, labels] of [
    ['both', {}],
    ['istio-only', { 'istio.io/rev': 'default' }],
  ] as const) {
    await cluster.client.create(POLICIES, {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name, namespace: 'ours', labels },
      spec: { rules: [{ from: [{ source: { namespaces: ['theirs'] } }] }] },
    } as never);
  }
  definitions = await definitionVersions();
  ofIstio = await istio.versions();
  folder = mkdtempSync(join(tmpdir(), 'ambit-b-'));
  await meshctl('install', '-y', '--no-wait', '--set', 'revision=ambit');
  controller = await startController();
});
after(async () => {
  controller?.kill('SIGTERM');
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  await cluster?.[Symbol.asyncDispose]();
});

const REDIRECTED = { 'ambient.istio.io/redirection': 'enabled' };
const PODS_MADE = [
  ['theirs', 'captured', {}, REDIRECTED],
  ['injected', 'sidecar', {}, { 'sidecar.istio.io/status': '{}' }],
  ['injected', 'job', { 'sidecar.istio.io/inject': 'false' }, {}],
  ['ours', 'app', {}, {}],
  ['ours', 'out', { 'istio.io/dataplane-mode': 'none' }, {}],
  ['theirs', 'moved', { 'istio.io/dataplane-mode': 'ambient', 'istio.io/rev': 'ambit' }, {}],
] as const;

async function makePod(given: {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}): Promise<void> {
  const { namespace, name, labels, annotations } = given;
  await until(async () => {
    const accounts = { group: '', version: 'v1', resource: 'serviceaccounts' };
    return (await cluster.client.find(accounts, { namespace, name: 'default' })) !== undefined;
  }, `namespace ${namespace} has its account`);
  await cluster.client.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels, annotations },
    spec: { nodeName: 'node1', containers: [{ name: 'app', image: 'app' }] },
  } as never);
  const at = PODS_MADE.findIndex((made) => made[0] === namespace && made[1] === name);
  const ip = `10.0.0.${at + 1}`;
  const status = {
    phase: 'Running',
    podIP: ip,
    podIPs: [{ ip }],
    conditions: [{ type: 'Ready', status: 'True' }],
  };
  await cluster.client.patch(
    PODS,
    { namespace, name },
    { type: 'merge', patch: { status }, subresource: 'status' },
  );
}

async function definitionVersions(): Promise<readonly string[]> {
  const found = await cluster.client.list(CRDS, {});
  return found.map(
    ({ metadata }) => `${metadata.name} ${(metadata as { generation?: number }).generation}`,
  );
}

/** As the chart sets it, outside of the cluster. */
async function startController(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'] ?? '',
      AMBIT_CONFIG_SOURCE: 'kubernetes',
      AMBIT_KUBECONFIG: cluster.kubeconfigPath,
      AMBIT_STATE_DIR: folder,
      AMBIT_XDS_ADDRESS: '127.0.0.1:0',
      AMBIT_METRICS_ADDRESS: '127.0.0.1:0',
      AMBIT_STATUS_ADDRESS: '127.0.0.1:0',
      AMBIT_ADMIN_ADDRESS: '127.0.0.1:0',
      AMBIT_WEBHOOK_ADDRESS: '127.0.0.1:0',
      AMBIT_PODS_WAIT_FOR_AGENT: 'true',
      AMBIT_WAYPOINT_IMAGE: 'ambit/waypoint:test',
      POD_NAME: 'controller-0',
      POD_NAMESPACE: ISTIO,
      REVISION: 'ambit',
    },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  await until(
    () => output.includes('"serving"'),
    () => `the controller serves\n${output.slice(-2_000)}`,
  );
  return child;
}

async function ask(path: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = request({ socketPath: join(folder, 'admin.sock'), path }, (response) => {
    text(response).then(resolve, reject);
  });
  call.on('error', reject).end();
  return JSON.parse(await promise);
}

const conditionsOf = (object: KubeObject): readonly unknown[] =>
  (object['status'] as { readonly conditions?: readonly unknown[] } | undefined)?.conditions ?? [];

describe('beside Istio', () => {
  it('has only those in the mesh that are labelled for it', async () => {
    const snapshot = (await ask('/v1/snapshot')) as {
      readonly enrolments: readonly {
        readonly namespace: string;
        readonly mode: string;
        readonly exceptions: readonly { readonly pod: string; readonly mode: string }[];
      }[];
    };
    const found = snapshot.enrolments.map(({ namespace, mode, exceptions }) => [
      namespace,
      mode,
      exceptions.map(({ pod, mode: own }) => `${pod} ${own}`),
    ]);
    assert.deepEqual(found.sort(), [
      ['ours', 'ambient', ['out none']],
      ['theirs', 'none', ['moved ambient']],
    ]);
  });

  it('calls pods that Istio captured by their tunnel, and its sidecars in clear', async () => {
    const workloads = (await ask('/v1/workloads')) as {
      readonly items: readonly { readonly name: string; readonly tunnelProtocol: string }[];
    };
    const protocols = Object.fromEntries(
      workloads.items.map(({ name, tunnelProtocol }) => [name, tunnelProtocol]),
    );
    const { captured, sidecar, job, app, out, moved } = protocols;
    assert.deepEqual(
      { captured, sidecar, job, app, out, moved },
      {
        captured: 'HBONE',
        sidecar: 'NONE',
        job: 'NONE',
        app: 'HBONE',
        out: 'NONE',
        moved: 'HBONE',
      },
    );
  });

  it('asks its webhook only about objects of its own revision', async () => {
    const name = 'ambit-validator-ambit-istio-system';
    const found = async () =>
      (await cluster.client.find(WEBHOOKS, { name })) as
        | { readonly webhooks?: readonly { readonly name: string }[] }
        | undefined;
    await until(async () => (await found())?.webhooks !== undefined, 'the webhook is configured');
    const names = (await found())?.webhooks?.map((webhook) => webhook.name);
    assert.deepEqual(names, ['rev.validation.ambit.io']);
  });

  it('is told apart by meshctl check', async () => {
    // Without nodes the rest of the installation is not healthy, and the exit code says so.
    const said = await meshctl('check', '-o', 'json').catch((error: unknown) =>
      error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error),
    );
    assert.match(said, /istio-system\/ztunnel runs beside; this mesh has the revision ambit/);
  });

  it('shares the CA of Istio, and gives its root under a name of its own', async () => {
    const ref = { namespace: 'ours', name: 'ambit-ca-root-cert' };
    const roots = async (): Promise<string | undefined> => {
      const found = await cluster.client.find(CONFIG_MAPS, ref);
      return (found?.['data'] as { readonly 'root-cert.pem'?: string } | undefined)?.[
        'root-cert.pem'
      ];
    };
    await until(async () => (await roots()) !== undefined, 'the root is there');
    assert.equal((await roots())?.trim(), istio.ca.roots.trim());
  });

  it('writes conditions on what holds for both, and none on what is of Istio alone', async () => {
    const get = async (name: string): Promise<KubeObject> =>
      await cluster.client.get(POLICIES, { namespace: 'ours', name });
    await until(
      async () => conditionsOf(await get('both')).length > 0,
      'the policy has conditions',
    );
    assert.deepEqual(conditionsOf(await get('istio-only')), []);
  });

  it('leaves everything of Istio as it was while it runs', async () => {
    assert.deepEqual(await definitionVersions(), definitions);
    assert.deepEqual(without(await istio.versions()), without(ofIstio));
    // Its own come beside those of Istio.
    const { spec } = (await cluster.client.get(NODES, { name: 'node1' })) as unknown as {
      readonly spec: { readonly taints: readonly { readonly key: string }[] };
    };
    assert.ok(spec.taints.some(({ key }) => key === 'cni.istio.io/not-ready'));
    const own = await ownLabels();
    assert.ok(own.length > 0 && own.every((label) => label.startsWith(POD_SECURITY)), String(own));
  });

  it('leaves it so when it goes', async () => {
    const ended = once(controller, 'exit');
    controller.kill('SIGTERM');
    await ended;
    await meshctl('uninstall', '-y', '--purge');
    assert.deepEqual(await definitionVersions(), definitions);
    assert.deepEqual(without(await istio.versions()), without(ofIstio));
    assert.deepEqual(await ownLabels(), []);
    const left = await cluster.client.list(CONFIG_MAPS, {});
    assert.deepEqual(
      left.flatMap(({ metadata }) => (metadata.name.startsWith('ambit') ? [metadata.name] : [])),
      [],
    );
  });
});

/** But for the two that an installation has to add to: a label, a taint. */
function without(
  versions: ReadonlyMap<string, string | undefined>,
): Readonly<Record<string, string | undefined>> {
  const shared = [`namespaces /${ISTIO}`, 'nodes /node1'];
  return Object.fromEntries([...versions].filter(([name]) => !shared.includes(name)));
}

/** Labels of Istio's namespace that it did not have. */
async function ownLabels(): Promise<readonly string[]> {
  const { metadata } = await cluster.client.get(NAMESPACES, { name: ISTIO });
  return Object.keys(metadata.labels ?? {}).filter((key) => key !== 'kubernetes.io/metadata.name');
}
