/**
 * The ground of every network measurement: a lab of two nodes. Each subject has a client pod on the first node and a
 * server pod on the second, so that all of them send over the same wires; what is measured runs inside the pods.
 *
 * Rules: TCP's congestion control is cubic in every pod; a machine's default of BBR ruins bulk figures on veth. A client that closes
 * first finds a free port at once; with thousands of connections in TIME_WAIT the kernel would search the range for each new one, which
 * slows down whoever takes the most.
 */
import { request } from 'node:http';
import { join } from 'node:path';
import { type Lab, labStart, type MeshExtraEnv } from '@ambit/lab';
import { type Netns, runIp, writeSysctl } from '@ambit/netns';

export const CONGESTION = 'cubic';
/** One name, so that a second run at the same time is refused and a crashed one is cleaned up by the next. */
const NAME = 'bench';
const READY_MS = 60_000;
/** The namespace that is not enrolled, and the one that is. */
export const PLAIN = 'plain';
export const MESH = 'mesh';

export interface PodPlace {
  readonly netns: Netns;
  readonly address: string;
}

export class BenchLab implements AsyncDisposable {
  readonly lab: Lab;

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  /** Throws when the lab, or with `mesh` one of the mesh's programs, does not come up. */
  static async start(options: {
    readonly mesh: boolean;
    readonly yaml: string;
    readonly extraEnv: MeshExtraEnv;
  }): Promise<BenchLab> {
    const { mesh, extraEnv } = options;
    const lab = await labStart({ name: NAME, nodes: 2, mesh, extraEnv });
    try {
      lab.apply(options.yaml);
      await lab.ready(READY_MS);
      const bench = new BenchLab(lab);
      await prepareNetworks(lab);
      return bench;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** One more pod; resolves when it is ready and has the settings of the others. */
  async addPod(yaml: string): Promise<void> {
    const known = new Set(this.lab.cluster.pods.all);
    this.lab.apply(yaml);
    await this.lab.waitFor(
      () => this.lab.cluster.pods.all.some((pod) => !known.has(pod) && pod.isReady),
      { what: 'a pod' },
    );
    await prepareNetworks(this.lab);
  }

  place(pod: string): PodPlace {
    const { network } = this.lab.pod(pod);
    if (network === undefined) {
      throw new Error(`pod ${pod} has no network`);
    }
    return { netns: network.netns, address: network.address.v4 };
  }

  serviceAddress(name: string): string {
    const found = this.lab.cluster.services.find(
      ({ service }) => `${service.metadata.namespace}/${service.metadata.name}` === name,
    );
    const address = found?.clusterIPs[0];
    if (address === undefined) {
      throw new Error(`service ${name} has no address`);
    }
    return address;
  }

  /** Node agents, one a node. */
  get agentPids(): number[] {
    const components = [...(this.lab.mesh?.components.values() ?? [])];
    return components.flatMap(({ name, pid }) =>
      name.startsWith('agent/') && pid !== undefined ? [pid] : [],
    );
  }

  /** Until every agent says that it is ready. */
  async waitForAgents(): Promise<void> {
    const { mesh, paths, network } = this.lab;
    if (mesh === undefined) {
      return;
    }
    for (const { name } of network.nodes) {
      const socketPath = join(paths.nodes, name, 'admin.sock');
      await this.lab.waitFor(async () => (await statusOf(socketPath, '/ready')) === 200, {
        what: `agent of ${name}`,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.close();
  }
}

async function prepareNetworks(lab: Lab): Promise<void> {
  for (const { network } of lab.cluster.pods.all) {
    if (network !== undefined) {
      await setCongestionControl(network.netns);
      widenPorts(network.netns);
    }
  }
}

/**
 * On every IPv4 route, loopback included. By route, because only the machine's own namespace may choose a default
 * that its `tcp_allowed_congestion_control` does not list. Accepted sockets take the route's setting as well.
 */
async function setCongestionControl(netns: Netns): Promise<void> {
  for (const table of ['main', 'local']) {
    const routes = (await runIp(netns, ['-4', '-o', 'route', 'show', 'table', table])).split('\n');
    for (const route of routes.map((line) => line.trim()).filter((line) => isOwnRoute(line))) {
      const words = route.split(/\s+/);
      await runIp(netns, [
        '-4',
        'route',
        'replace',
        ...words,
        'table',
        table,
        'congctl',
        CONGESTION,
      ]);
    }
  }
}

/** Ports of closed connections are taken again after a second instead of a minute, and there are more of them. */
function widenPorts(netns: Netns): void {
  writeSysctl(netns, 'net.ipv4.tcp_tw_reuse', '1');
  writeSysctl(netns, 'net.ipv4.ip_local_port_range', '30000 65535');
}

/** Broadcast routes carry no TCP, and `linkdown` and its like are states, which cannot be set. */
function isOwnRoute(route: string): boolean {
  return route !== '' && !route.startsWith('broadcast');
}

/** Rejects while nobody listens. */
async function statusOf(socketPath: string, path: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const sent = request({ socketPath, path, agent: false }, (response) => {
    response.resume();
    resolve(response.statusCode);
  });
  sent.on('error', reject);
  sent.end();
  return await promise;
}

/** A pod that only holds a network; the bench starts in it what it measures. */
export function holderPod(namespace: string, name: string, node: string): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: ${namespace}, labels: { app: ${name} } }
spec:
  nodeName: ${node}
  containers: [{ name: holder, command: [sleep, infinity] }]
`;
}

export function namespaceYaml(name: string, isEnrolled: boolean): string {
  const labels = isEnrolled ? ', labels: { istio.io/dataplane-mode: ambient }' : '';
  return `
apiVersion: v1
kind: Namespace
metadata: { name: ${name}${labels} }
`;
}
