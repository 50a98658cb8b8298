/**
 * A cluster with Ambit on it, for scenarios: installed from this checkout by `meshctl install`, the first time a test file asks,
 * and left for the next file. What a scenario makes is in namespaces of its own, which go with it.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '@ambit/core';
import { Caller } from '@ambit/lab/testing';
import { loadImages, root, type TestImages } from './images.ts';
import { finish, kubectl, type Ran, startKubectl, stopProcess, tryKubectl } from './kubectl.ts';
import type { Json } from './objects.ts';
import { type Sniffer, startSniffer } from './sniffer.ts';

const NODES_MS = 90_000;
const NODES_LOOK_MS = 500;

export const SYSTEM = 'istio-system';
export const CONTROLLER = 'deployment/ambit-controller';
export const AGENT = 'daemonset/ambit-node-agent';
const NODE_NAMESPACE = 'ambit-test-nodes';
const ROLLOUT_MS_MAX = 120_000;

/** Of programs that share two cores with a cluster. */
const VALUES: Readonly<Record<string, string>> = {
  hub: 'docker.io/ambit',
  'controller.replicas': '1',
  'controller.resources.requests.cpu': '10m',
  'controller.resources.requests.memory': '64Mi',
  'agent.resources.requests.cpu': '10m',
  'agent.resources.requests.memory': '64Mi',
  'agent.terminationGracePeriodSeconds': '10',
  'waypoint.resources.requests.cpu': '10m',
  'waypoint.resources.requests.memory': '64Mi',
};

export interface PodFacts {
  readonly name: string;
  readonly node: string;
  readonly ip: string;
  readonly phase: string;
  readonly uid: string;
}

export class MeshCluster implements AsyncDisposable {
  readonly images: TestImages;
  /** Names of the first two that take pods. */
  readonly nodes: readonly [string, string];
  readonly #namespaces: string[] = [];
  readonly #callers: Caller[] = [];
  readonly #nodePods = new Map<string, string>();

  private constructor(images: TestImages, nodes: readonly [string, string]) {
    this.images = images;
    this.nodes = nodes;
  }

  /** Throws, with the logs of the mesh, when it does not come up. */
  static async open(values: Readonly<Record<string, string>> = {}): Promise<MeshCluster> {
    const images = await loadImages();
    const [first, second] = await twoNodes();
    assert.ok(
      first !== undefined && second !== undefined,
      'the scenarios need two nodes that take pods',
    );
    const mesh = new MeshCluster(images, [first, second]);
    await mesh.install(values);
    await mesh.#openNodes();
    return mesh;
  }

  async install(values: Readonly<Record<string, string>> = {}): Promise<void> {
    const set = Object.entries({ ...VALUES, tag: this.images.tag, ...values });
    const args = set.flatMap(([path, value]) => ['--set', `${path}=${value}`]);
    const { code, stdout, stderr } = await this.meshctl(
      'install',
      '-y',
      '--timeout',
      '120s',
      ...args,
    );
    assert.equal(code, 0, `${stderr}${stdout}\n${code === 0 ? '' : await this.report()}`);
  }

  async meshctl(...args: readonly string[]): Promise<Ran> {
    const main = join(root, 'apps', 'meshctl', 'src', 'main.ts');
    return await finish(spawn(process.execPath, [main, ...args]));
  }

  /** A new namespace whose name starts with `ambit-test-TITLE`. */
  async namespace(title: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
    const name = `ambit-test-${title}-${randomBytes(2).toString('hex')}`;
    await this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    this.disposeOf(name);
    return name;
  }

  /** Deletes a namespace that the scenario made by itself, at its end. */
  disposeOf(namespace: string): void {
    this.#namespaces.push(namespace);
  }

  async apply(...objects: readonly Json[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await kubectl(['apply', '-f', '-'], JSON.stringify(list));
  }

  /**
   * Waits until all pods of the namespace that `selector` selects are ready. `kubectl wait` looks only at pods that are there:
   * what Deployments and DaemonSets have yet to make is waited for before.
   */
  async ready(namespace: string, selector = 'app'): Promise<void> {
    await this.until(`pods of ${namespace} are made`, async () => {
      const pods = await this.pods(namespace, selector);
      return pods.length > 0 && (await areMade(namespace));
    });
    const args = ['-n', namespace, 'wait', 'pod', '-l', selector, '--for=condition=Ready'];
    const { code, stderr } = await tryKubectl([...args, '--timeout=60s']);
    assert.equal(code, 0, `${stderr}${code === 0 ? '' : await this.report(namespace)}`);
  }

  async rollout(what: string, namespace = SYSTEM): Promise<void> {
    const timeout = `--timeout=${ROLLOUT_MS_MAX / 1_000}s`;
    const { code, stderr } = await tryKubectl([
      ...['-n', namespace, 'rollout', 'status', what, timeout],
    ]);
    assert.equal(code, 0, `${stderr}${code === 0 ? '' : await this.report(namespace)}`);
  }

  async pods(namespace: string, selector = ''): Promise<readonly PodFacts[]> {
    const text = await kubectl(['-n', namespace, 'get', 'pods', '-l', selector, '-o', 'json']);
    const { items } = JSON.parse(text) as { readonly items: readonly PodObject[] };
    return items.map(({ metadata, spec, status }) => ({
      name: metadata.name,
      uid: metadata.uid,
      node: spec.nodeName ?? '',
      ip: status.podIP ?? '',
      phase: metadata.deletionTimestamp === undefined ? (status.phase ?? '') : 'Terminating',
    }));
  }

  async exec(namespace: string, pod: string, ...command: readonly string[]): Promise<Ran> {
    return await tryKubectl(['-n', namespace, 'exec', pod, '--', ...command]);
  }

  /** A client in a pod of the Node program. It ends with the scenario. */
  caller(namespace: string, pod: string): Caller {
    const spawnIn = (name: string, argv: readonly string[]) => {
      const child = startKubectl('-n', namespace, 'exec', '-i', name, '--', ...argv);
      const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
        (resolve) => {
          child.once('close', (code, signal) => resolve({ code, signal }));
        },
      );
      return { child, ended, signal: (name: NodeJS.Signals) => stopProcess(child, name) };
    };
    const caller = new Caller({ spawn: spawnIn }, pod);
    this.#callers.push(caller);
    return caller;
  }

  /** Runs a program of the node on the node. Throws unless it ends with 0. */
  async onNode(node: string, ...command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.exec(
      ...([NODE_NAMESPACE, this.#nodePod(node), '/c', 'host', ...command] as const),
    );
    assert.equal(code, 0, `${command.join(' ')} on ${node}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Counts packets that cross the node's own network with one of the words in clear. */
  async sniff(node: string, ...words: readonly string[]): Promise<Sniffer> {
    return await startSniffer(
      startKubectl(
        '-n',
        NODE_NAMESPACE,
        'exec',
        '-i',
        this.#nodePod(node),
        '--',
        '/c',
        'sniff',
        ...words,
      ),
    );
  }

  async until(what: string, check: () => Promise<boolean>, ms = 30_000): Promise<void> {
    const deadline = systemClock.now() + ms;
    let error: unknown;
    const isSo = async (): Promise<boolean> => {
      try {
        return await check();
      } catch (caught) {
        error = caught;
        return false;
      }
    };
    while (!(await isSo())) {
      if (systemClock.now() > deadline) {
        assert.fail(
          `did not happen within ${ms} ms: ${what}\n${String(error ?? '')}\n${await this.report()}`,
        );
      }
      await systemClock.sleep(200);
    }
  }

  /** What is wrong in the cluster, as far as it says. */
  async report(namespace?: string): Promise<string> {
    const parts = [
      ['get', 'pods', '-A', '-o', 'wide'],
      ['get', 'events', '-A', '--field-selector=type=Warning', '--sort-by=.lastTimestamp'],
      ['-n', SYSTEM, 'logs', '--tail=25', CONTROLLER],
      [
        '-n',
        SYSTEM,
        'logs',
        '--tail=15',
        '--prefix',
        '-l',
        'app.kubernetes.io/name=ambit-node-agent',
      ],
      ...(namespace === undefined ? [] : [['-n', namespace, 'describe', 'pods']]),
    ];
    const texts: string[] = [];
    for (const args of parts) {
      const { stdout, stderr } = await tryKubectl(args);
      texts.push(`--- kubectl ${args.join(' ')}\n${`${stdout}${stderr}`.slice(-6_000)}`);
    }
    return texts.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#callers.map((caller) => caller[Symbol.asyncDispose]()));
    if (this.#namespaces.length > 0) {
      const options = ['--ignore-not-found', '--wait=false'];
      await kubectl(['delete', 'namespace', ...this.#namespaces, ...options]);
    }
  }

  #nodePod(node: string): string {
    const name = this.#nodePods.get(node);
    assert.ok(name !== undefined, `no node "${node}"`);
    return name;
  }

  /** A pod on each node that sees it as its root does. */
  async #openNodes(): Promise<void> {
    const labels = { app: 'node' };
    const container = {
      name: 'node',
      image: this.images.program('c'),
      command: ['/c', 'server', '18999'],
      securityContext: { privileged: true },
    };
    const spec = {
      hostPID: true,
      hostNetwork: true,
      terminationGracePeriodSeconds: 0,
      tolerations: [{ operator: 'Exists' }],
      containers: [container],
    };
    await this.apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NODE_NAMESPACE } },
      {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: { name: 'node', namespace: NODE_NAMESPACE },
        spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
      },
    );
    await this.rollout('daemonset/node', NODE_NAMESPACE);
    for (const { name, node, phase } of await this.pods(NODE_NAMESPACE, 'app=node')) {
      if (phase === 'Running') {
        this.#nodePods.set(node, name);
      }
    }
  }
}

interface MakerObject {
  readonly metadata: { readonly generation?: number };
  readonly spec: { readonly replicas?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly desiredNumberScheduled?: number;
    readonly currentNumberScheduled?: number;
  };
}

/** Whether each Deployment and DaemonSet of the namespace has as many pods as it asks for. */
async function areMade(namespace: string): Promise<boolean> {
  const text = await kubectl(['-n', namespace, 'get', 'deployments,daemonsets', '-o', 'json']);
  const { items } = JSON.parse(text) as { readonly items: readonly MakerObject[] };
  return items.every(({ metadata, spec, status }) => {
    const asked = spec.replicas ?? status?.desiredNumberScheduled ?? 0;
    const made = status?.replicas ?? status?.currentNumberScheduled ?? 0;
    return metadata.generation === status?.observedGeneration && made >= asked;
  });
}

interface NodeObject {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly taints?: readonly { readonly key: string; readonly effect: string }[];
  };
}

/** The nodes that take pods, once there are two: one that was lost a moment ago may have to be known again. */
async function twoNodes(): Promise<readonly string[]> {
  const until = systemClock.now() + NODES_MS;
  for (;;) {
    const names = await schedulableNodes();
    if (names.length >= 2 || systemClock.now() >= until) {
      return names;
    }
    await systemClock.sleep(NODES_LOOK_MS);
  }
}

/** Their names. A control plane's node takes no pods that do not ask for it; our own taint goes by itself. */
async function schedulableNodes(): Promise<readonly string[]> {
  const { items } = JSON.parse(await kubectl(['get', 'nodes', '-o', 'json'])) as {
    readonly items: readonly NodeObject[];
  };
  const isShut = ({ spec: { taints = [] } }: NodeObject): boolean =>
    taints.some(({ key, effect }) => effect !== 'PreferNoSchedule' && !key.startsWith('ambit.io/'));
  return items.filter((node) => !isShut(node)).map(({ metadata }) => metadata.name);
}

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly podIP?: string; readonly phase?: string };
}
