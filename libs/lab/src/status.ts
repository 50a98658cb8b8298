/** What `meshctl lab status` shows: programs, pods, services, problems. Plain JSON. */
import type { Lab } from './lab.ts';

export interface LabStatus {
  readonly name: string;
  readonly folder: string;
  readonly root: string;
  readonly pid: number;
  /** Every pod that the YAML asks for runs and is ready, and no file has a problem. */
  readonly isSettled: boolean;
  readonly nodes: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly components: readonly {
    readonly name: string;
    readonly state: string;
    readonly pid?: number;
    readonly restarts: number;
    readonly lastEnd: string;
  }[];
  readonly pods: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly node: string;
    readonly addresses: readonly string[];
    readonly phase: string;
    readonly isReady: boolean;
    readonly restarts: number;
    readonly reason: string;
  }[];
  readonly services: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly addresses: readonly string[];
  }[];
  readonly problems: readonly string[];
}

export function labStatus(lab: Lab): LabStatus {
  const { cluster, network, mesh } = lab;
  return {
    name: lab.name,
    folder: lab.folder,
    root: lab.paths.root,
    pid: process.pid,
    isSettled: cluster.isSettled,
    nodes: network.nodes.map(({ name, address }) => ({
      name,
      addresses: [address.v4, address.v6],
    })),
    components: [...(mesh?.components.values() ?? [])].map((component) => ({
      name: component.name,
      state: component.state,
      ...(component.pid === undefined ? {} : { pid: component.pid }),
      restarts: component.restarts,
      lastEnd: component.lastEnd,
    })),
    pods: cluster.pods.all.map((pod) => ({
      namespace: pod.plan.namespace,
      name: pod.plan.name,
      node: pod.node.name,
      addresses: pod.addresses,
      phase: pod.phase,
      isReady: pod.isReady,
      restarts: pod.restarts,
      reason: pod.reason,
    })),
    services: cluster.services.map(({ service, clusterIPs }) => ({
      namespace: service.metadata.namespace,
      name: service.metadata.name,
      addresses: clusterIPs,
    })),
    problems: [
      ...cluster.problems.map(({ file, message }) => `${file}: ${message}`),
      ...[...cluster.pods.unplaced].map(([key, why]) => `${key}: ${why}`),
      ...(cluster.lastError === '' ? [] : [cluster.lastError]),
    ],
  };
}
