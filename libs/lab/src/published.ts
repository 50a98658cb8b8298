/**
 * The objects that a cluster makes or completes, as files that the controller reads: Pods with their status,
 * Services with their addresses, Nodes. Each file is replaced whole, and only when it changed.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { agentSubject } from './mesh-programs.ts';
import type { LabNode } from './network.ts';
import type { LabPod } from './pod.ts';

type Json = Readonly<Record<string, unknown>>;

export class PublishedObjects {
  readonly #folder: string;
  readonly #written = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** Makes the folder hold these objects and no others. Keys are `KIND.NAMESPACE.NAME`. */
  replaceAll(objects: ReadonlyMap<string, Json>): void {
    for (const [name, object] of objects) {
      const text = stringify(object);
      if (this.#written.get(name) !== text) {
        const file = join(this.#folder, `${name}.yaml`);
        writeFileSync(`${file}.new`, text);
        renameSync(`${file}.new`, file);
        this.#written.set(name, text);
      }
    }
    for (const name of this.#written.keys()) {
      if (!objects.has(name)) {
        rmSync(join(this.#folder, `${name}.yaml`), { force: true });
        this.#written.delete(name);
      }
    }
  }
}

export function nodeObject(node: LabNode): Json {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node.name, labels: { 'kubernetes.io/hostname': node.name } },
    status: {
      addresses: [node.address.v4, node.address.v6].map((address) => ({
        type: 'InternalIP',
        address,
      })),
    },
  };
}

/** The agent of a node, as the DaemonSet's pod that it is in a cluster: the CA asks which node a caller is on. */
export function agentObject(node: LabNode): Json {
  const { namespace, serviceAccount, pod } = agentSubject(node);
  const addresses = [node.address.v4, node.address.v6];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod.name, namespace, uid: pod.uid, labels: { app: serviceAccount } },
    spec: {
      serviceAccountName: serviceAccount,
      nodeName: node.name,
      hostNetwork: true,
      containers: [{ name: 'agent', image: 'ambit/node-agent' }],
    },
    status: {
      phase: 'Running',
      podIP: addresses[0],
      podIPs: addresses.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

export function podObject(pod: LabPod): Json {
  const { plan, addresses } = pod;
  const isTerminating = pod.phase === 'Terminating';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: plan.name,
      namespace: plan.namespace,
      uid: pod.uid,
      creationTimestamp: new Date(pod.createdAtMs).toISOString(),
      labels: plan.labels,
      annotations: plan.annotations,
      ...(plan.ownerReferences.length === 0 ? {} : { ownerReferences: plan.ownerReferences }),
      ...(isTerminating ? { deletionTimestamp: new Date(pod.createdAtMs).toISOString() } : {}),
    },
    spec: {
      serviceAccountName: plan.spec.serviceAccountName,
      nodeName: pod.node.name,
      hostNetwork: plan.spec.hostNetwork,
      containers: plan.spec.containers.map(({ name, image, ports }) => ({
        name,
        image: image ?? 'none',
        ports,
      })),
    },
    status: {
      phase: pod.phase === 'Pending' ? 'Pending' : 'Running',
      ...(addresses[0] === undefined ? {} : { podIP: addresses[0], hostIP: pod.node.address.v4 }),
      podIPs: addresses.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: pod.isReady && !isTerminating ? 'True' : 'False' }],
    },
  };
}

/** The Service as written, with the addresses that it has here. */
export function serviceObject(raw: Json, clusterIPs: readonly string[]): Json {
  const spec = typeof raw['spec'] === 'object' && raw['spec'] !== null ? raw['spec'] : {};
  const families = clusterIPs.map((address) => (address.includes(':') ? 'IPv6' : 'IPv4'));
  return {
    ...raw,
    spec: {
      ...spec,
      clusterIP: clusterIPs[0],
      clusterIPs,
      ...(families.length === 0 || clusterIPs[0] === 'None' ? {} : { ipFamilies: families }),
    },
  };
}
