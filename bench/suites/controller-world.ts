/**
 * A cluster of ten thousand pods that nobody runs: objects of the API as kubelets and schedulers would have written them.
 *
 * Nothing in it needs a node: pods have their addresses in a status that the generator writes.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseYaml } from '@ambit/api';
import { type ApiCalls, inParallel, type Written } from '../cluster/api-calls.ts';

const WRITES_AT_ONCE = 12;
const CRDS = join(import.meta.dirname, '..', '..', 'manifests', 'crds');
export const SYSTEM = 'istio-system';
export const AGENT_ACCOUNT = 'ambit-node-agent';
const POLICIES = '/apis/security.istio.io/v1';

export interface WorldSize {
  readonly pods: number;
  readonly services: number;
  readonly namespaces: number;
  readonly nodes: number;
  /** One for each of the first services. So many that none is written again before it arrived. */
  readonly policies: number;
}

export class World {
  readonly size: WorldSize;
  readonly #api: ApiCalls;

  constructor(api: ApiCalls, size: WorldSize) {
    this.#api = api;
    this.size = size;
  }

  namespaceOf(app: number): string {
    return `ns-${app % this.size.namespaces}`;
  }

  podRef(index: number): { readonly namespace: string; readonly name: string } {
    const app = index % this.size.services;
    return { namespace: this.namespaceOf(app), name: `app-${app}-7d9c5b6f4-${index}` };
  }

  /** As agents know it. */
  podUid(index: number): string {
    const { namespace, name } = this.podRef(index);
    return `Kubernetes//Pod/${namespace}/${name}`;
  }

  podPath(index: number): string {
    const { namespace, name } = this.podRef(index);
    return `/api/v1/namespaces/${namespace}/pods/${name}`;
  }

  policyPath(app: number): string {
    return `${POLICIES}/namespaces/${this.namespaceOf(app)}/authorizationpolicies/callers-${app}`;
  }

  policySpec(app: number, port: number): unknown {
    return {
      selector: { matchLabels: { app: `app-${app}` } },
      rules: [
        {
          from: [{ source: { principals: ['cluster.local/ns/ns-0/sa/app'] } }],
          to: [{ operation: { ports: [String(port)] } }],
        },
      ],
    };
  }

  async createPod(index: number): Promise<void> {
    const { namespace, name } = this.podRef(index);
    const app = `app-${index % this.size.services}`;
    const labels = { app, version: `v${index % 3}`, 'pod-template-hash': '7d9c5b6f4' };
    await this.#api.post(`/api/v1/namespaces/${namespace}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels },
      spec: {
        serviceAccountName: 'app',
        automountServiceAccountToken: false,
        nodeName: `node-${index % this.size.nodes}`,
        // No kubelet speaks for these nodes; without this the cluster would evict the pods.
        tolerations: [{ operator: 'Exists' }],
        containers: [{ name: 'app', image: 'app', ports: [{ name: 'http', containerPort: 8080 }] }],
      },
    });
  }

  /** Undefined for a pod that is not of this world. */
  indexOf({
    namespace = '',
    name,
  }: {
    readonly namespace?: string;
    readonly name: string;
  }): number | undefined {
    const index = Number(/-(\d+)$/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(index)) return undefined;
    const own = this.podRef(index);
    return own.name === name && own.namespace === namespace ? index : undefined;
  }

  async writeReady(index: number, isReady: boolean): Promise<Written> {
    const path = `${this.podPath(index)}/status`;
    return await this.#api.mergePatch(path, this.podStatus(index, isReady));
  }

  /** What a kubelet says of a pod. */
  podStatus(index: number, isReady: boolean): unknown {
    const ip = `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
    const status = isReady ? 'True' : 'False';
    return {
      status: {
        phase: 'Running',
        podIP: ip,
        podIPs: [{ ip }],
        conditions: [
          { type: 'PodScheduled', status: 'True' },
          { type: 'Initialized', status: 'True' },
          { type: 'ContainersReady', status },
          { type: 'Ready', status },
        ],
      },
    };
  }

  async create(onProgress: (line: string) => void): Promise<void> {
    const { namespaces, services, nodes, pods, policies } = this.size;
    await this.#createDefinitions();
    const names = Array.from({ length: namespaces }, (_, index) => `ns-${index}`);
    await inParallel([...names, SYSTEM], WRITES_AT_ONCE, (name) => this.#createNamespace(name));
    await this.#createAll(nodes, (index) => this.#createNode(index));
    await this.#createAll(services, (index) => this.#createService(index));
    await this.#createAll(policies, (app) => this.createPolicy(app));
    onProgress(`${namespaces} namespaces, ${nodes} nodes, ${services} services; pods follow`);
    await this.#createAll(pods, async (index) => {
      await this.createPod(index);
      await this.writeReady(index, true);
    });
    onProgress(`${pods} pods`);
  }

  async createPolicy(app: number): Promise<void> {
    await this.#api.post(`${POLICIES}/namespaces/${this.namespaceOf(app)}/authorizationpolicies`, {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: `callers-${app}` },
      spec: this.policySpec(app, 8080),
    });
  }

  /** The pod of a node's agent. */
  async createAgent(node: number): Promise<void> {
    const pod = `${AGENT_ACCOUNT}-${node}`;
    const pods = `/api/v1/namespaces/${SYSTEM}/pods`;
    await this.#api.post(pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: pod, labels: { app: AGENT_ACCOUNT } },
      spec: {
        serviceAccountName: AGENT_ACCOUNT,
        automountServiceAccountToken: false,
        nodeName: `node-${node}`,
        tolerations: [{ operator: 'Exists' }],
        containers: [{ name: 'agent', image: 'agent' }],
      },
    });
    const status = this.podStatus(this.size.pods * 2 + node, true);
    await this.#api.mergePatch(`${pods}/${pod}/status`, status);
  }

  /** A token as its kubelet would get it. */
  async agentToken(node: number): Promise<{ readonly pod: string; readonly token: string }> {
    const pod = `${AGENT_ACCOUNT}-${node}`;
    const { metadata } = await this.#api.get(`/api/v1/namespaces/${SYSTEM}/pods/${pod}`);
    const accounts = `/api/v1/namespaces/${SYSTEM}/serviceaccounts`;
    const { status } = await this.#api.post(`${accounts}/${AGENT_ACCOUNT}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: ['istio-ca'],
        expirationSeconds: 7_200,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod, uid: metadata?.uid },
      },
    });
    return { pod, token: status?.token ?? '' };
  }

  async #createAll(count: number, create: (index: number) => Promise<unknown>): Promise<void> {
    await inParallel(Array(count).keys(), WRITES_AT_ONCE, create);
  }

  async #createDefinitions(): Promise<void> {
    for (const file of globSync('*.yaml', { cwd: CRDS })) {
      const text = readFileSync(join(CRDS, file), 'utf8');
      for (const { value } of parseYaml(text, { source: file }).documents) {
        await this.#api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', value);
      }
    }
  }

  async #createNamespace(name: string): Promise<void> {
    const labels = name === SYSTEM ? {} : { 'istio.io/dataplane-mode': 'ambient' };
    const metadata = { name, labels };
    await this.#api.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
    await this.#api.post(`/api/v1/namespaces/${name}/serviceaccounts`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: name === SYSTEM ? AGENT_ACCOUNT : 'app' },
    });
  }

  async #createNode(index: number): Promise<void> {
    const labels = { 'topology.kubernetes.io/zone': `zone-${index % 3}` };
    const metadata = { name: `node-${index}`, labels };
    await this.#api.post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
  }

  async #createService(index: number): Promise<void> {
    const namespace = this.namespaceOf(index);
    await this.#api.post(`/api/v1/namespaces/${namespace}/services`, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `app-${index}` },
      spec: {
        selector: { app: `app-${index}` },
        ports: [{ name: 'http', port: 80, targetPort: 'http' }],
      },
    });
  }
}
