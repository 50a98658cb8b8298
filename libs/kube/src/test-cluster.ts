/**
 * A real API server for tests: the one of $KUBECONFIG, else one that a tool brings up and takes down.
 *
 * The tool is $AMBIT_CLUSTER_TOOL (`up --api-only`, `kubeconfig`, `down`; its name and state in
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
import { KubeHttp } from './http.ts';
import { loadKubeconfig } from './kubeconfig.ts';

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

/** `name` is one word, unique among test files. Throws if there is neither a cluster nor a tool. */
export async function openTestCluster(name: string): Promise<TestCluster> {
  const given = process.env['KUBECONFIG'] ?? '';
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
      if (tool === undefined) {
        await Promise.all(namespaces.map((ns) => client.delete(NAMESPACES, { name: ns })));
      }
      http.close();
      await tool?.down();
    },
  };
}

const NAMESPACES = { group: '', version: 'v1', resource: 'namespaces' };

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
