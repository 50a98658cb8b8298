/**
 * A real API server for tests: the one of $KUBECONFIG, else one that a tool brings up and takes down.
 *
 * $AMBIT_TEST_API_KUBECONFIG comes first: an API server on this machine for test files one after the other, which may change
 * it as they like, because each leaves it empty. Else the tool is $AMBIT_CLUSTER_TOOL (`up --api-only`, `kubeconfig`, `down`; its name and state in
 * $MESH_CLUSTER_NAME and $MESH_CLUSTER_STATE). A relative path is relative to the repository.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '@ambit/core';
import { KubeClient } from './client.ts';
import { Discovery } from './discovery.ts';
import { isKubeError } from './errors.ts';
import { KubeHttp } from './http.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import type { GroupVersionResource, ObjectRef } from './resources.ts';

const TOOL = '../shared/cluster/cluster';
/** The first use on a machine builds Kubernetes. */
const UP_MS_MAX = 15 * 60_000;
const root = resolve(import.meta.dirname, '..', '..', '..');
const run = promisify(execFile);

export interface TestCluster extends AsyncDisposable {
  readonly kubeconfigPath: string;
  readonly http: KubeHttp;
  readonly client: KubeClient;
  readonly discovery: Discovery;
  /** Makes a namespace that goes with the cluster, or when the test ends. */
  namespace(): Promise<string>;
}

export interface TestClusterOptions {
  /** It has to reach ports of this machine, or is changed so that nobody else could use it: never that of $KUBECONFIG. */
  readonly isOwn?: boolean;
}

/** `name` is one word, unique among test files. Throws if there is neither a cluster nor a tool. */
export async function openTestCluster(
  name: string,
  { isOwn = false }: TestClusterOptions = {},
): Promise<TestCluster> {
  const shared = process.env['AMBIT_TEST_API_KUBECONFIG'] ?? '';
  const given = shared === '' && !isOwn ? (process.env['KUBECONFIG'] ?? '') : shared;
  const tool = given === '' ? await bringUp(name) : undefined;
  const kubeconfigPath = tool?.kubeconfigPath ?? given;
  const kubeconfig = loadKubeconfig({
    path: kubeconfigPath,
    environment: process.env,
    clock: systemClock,
  });
  const http = new KubeHttp({ credentials: kubeconfig.credentials(), clock: systemClock });
  const client = new KubeClient({ http });
  const discovery = new Discovery({ http, clock: systemClock });
  const namespaces: string[] = [];
  return {
    kubeconfigPath,
    http,
    client,
    discovery,
    async namespace() {
      const metadata = { name: `ambit-test-${randomBytes(4).toString('hex')}` };
      await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata });
      namespaces.push(metadata.name);
      return metadata.name;
    },
    async [Symbol.asyncDispose]() {
      await discovery.stop();
      try {
        if (shared !== '') {
          await leaveEmpty(client);
        } else if (tool === undefined) {
          await Promise.all(namespaces.map((ns) => client.delete(NAMESPACES, { name: ns })));
        }
      } finally {
        http.close();
        await tool?.down();
      }
    },
  };
}

const NAMESPACES = { group: '', version: 'v1', resource: 'namespaces' };
const ADMISSION = { group: 'admissionregistration.k8s.io', version: 'v1' };
/** In this order: a webhook that nobody answers would hold up what follows. */
const CLUSTER_WIDE: readonly GroupVersionResource[] = [
  { ...ADMISSION, resource: 'validatingwebhookconfigurations' },
  { ...ADMISSION, resource: 'mutatingwebhookconfigurations' },
  { ...ADMISSION, resource: 'validatingadmissionpolicybindings' },
  { ...ADMISSION, resource: 'validatingadmissionpolicies' },
  { group: 'apiextensions.k8s.io', version: 'v1', resource: 'customresourcedefinitions' },
  NAMESPACES,
  { group: '', version: 'v1', resource: 'nodes' },
];
const OF_KUBERNETES = /^(default|kube-.*|.*\.k8s\.io)$/;
const EMPTY_MS_MAX = 60_000;

/** Deletes what tests make, and waits until it is gone. */
async function leaveEmpty(client: KubeClient): Promise<void> {
  const deadline = systemClock.now() + EMPTY_MS_MAX;
  for (let left = 1; left > 0; await systemClock.sleep(left > 0 ? 100 : 0)) {
    left = 0;
    for (const resource of CLUSTER_WIDE) {
      const objects = await client.list(resource, {});
      const own = objects.filter(({ metadata }) => !isOfKubernetes(resource, metadata.name));
      left += own.length;
      const standing = own.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      await Promise.all(standing.map(({ metadata }) => remove(client, resource, metadata)));
      if (resource === NAMESPACES) {
        await Promise.all(own.map(({ metadata }) => endPods(client, metadata.name)));
      }
    }
    if (left > 0 && systemClock.now() > deadline) {
      throw new Error(`${left} namespaces or definitions that a test made do not go away`);
    }
  }
}

/** At once: no kubelet is there that would end them. */
async function endPods(client: KubeClient, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  await client.http.json({ method: 'DELETE', path, query: { gracePeriodSeconds: '0' } });
}

async function remove(
  client: KubeClient,
  resource: GroupVersionResource,
  ref: ObjectRef,
): Promise<void> {
  await client.delete(resource, ref).catch((error: unknown) => {
    // It went by itself.
    if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error;
  });
}

/** Custom definitions are all of tests, whatever their group. */
function isOfKubernetes({ resource }: GroupVersionResource, name: string): boolean {
  return resource !== 'customresourcedefinitions' && OF_KUBERNETES.test(name);
}

interface Tool {
  readonly kubeconfigPath: string;
  down(): Promise<void>;
}

async function bringUp(name: string): Promise<Tool> {
  const tool = resolve(root, process.env['AMBIT_CLUSTER_TOOL'] ?? TOOL);
  // The same for every run of this file in this checkout, so that a run that was killed leaves nothing.
  const id = createHash('sha256').update(root).digest('hex').slice(0, 6);
  const clusterName = `ambit-${name}-${id}`;
  const env = {
    ...process.env,
    MESH_CLUSTER_NAME: clusterName,
    MESH_CLUSTER_STATE: join(tmpdir(), `mc-${clusterName}`),
  };
  const call = async (...args: readonly string[]): Promise<string> => {
    try {
      const { stdout } = await run(tool, args, { env, timeout: UP_MS_MAX });
      return stdout.trim();
    } catch (error) {
      const message = `"${tool} ${args.join(' ')}" failed; set KUBECONFIG or AMBIT_CLUSTER_TOOL`;
      throw new Error(message, { cause: error });
    }
  };
  await call('down').catch(() => {
    // Nothing was left: `up` says so if that was not the reason.
  });
  await call('up', '--api-only');
  return {
    kubeconfigPath: await call('kubeconfig'),
    down: async () => void (await call('down')),
  };
}
