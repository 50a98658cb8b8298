/**
 * The wires of a lab: nodes joined by a bridge in a namespace of its own, pods joined to their node.
 *
 * Namespaces are held by descriptors of this process and by nothing else, so that the kernel removes them, and the
 * interfaces in them, with the process. Pods are routed, not bridged: every packet passes the node's rules.
 */
import { existsSync } from 'node:fs';
import { createNetns, type Netns, spawnInNetns, writeSysctl } from '@ambit/netns';
import {
  CONTROLLER,
  DNS,
  type DualAddress,
  FABRIC,
  nodeAddress,
  nodePodGateway,
  PodHosts,
  podAddress,
  podRange,
} from './addresses.ts';
import { LabError } from './errors.ts';
import { TOOL_PATH } from './tool-path.ts';

/** On both ends of every pod's wire; IPv6 finds its gateway by it. */
const POD_GATEWAY_V6 = 'fe80::1';

export interface LabNode {
  /** `node1`, … */
  readonly name: string;
  readonly index: number;
  readonly address: DualAddress;
  readonly netns: Netns;
}

export interface PodNetwork {
  readonly netns: Netns;
  readonly address: DualAddress;
  /** Removes the wire and lets go of the namespace. Idempotent. */
  release(): Promise<void>;
}

/** A path that opens the namespace from any process of this pid namespace, as long as this process lives. */
export function netnsPath(netns: Netns): string {
  return `/proc/${process.pid}/fd/${netns.fd}`;
}

export class LabNetwork {
  readonly fabric: Netns;
  readonly controller: Netns;
  readonly nodes: readonly LabNode[];
  readonly #hosts: ReadonlyMap<string, PodHosts>;

  private constructor(fabric: Netns, controller: Netns, nodes: readonly LabNode[]) {
    this.fabric = fabric;
    this.controller = controller;
    this.nodes = nodes;
    this.#hosts = new Map(nodes.map((node) => [node.name, new PodHosts()]));
  }

  /** Throws `LAB_NETWORK_FAILED` with what `ip` said, or `NETNS_CREATE_FAILED` without the privilege. */
  static async create(nodeCount: number): Promise<LabNetwork> {
    const fabric = createNetns();
    const controller = createNetns();
    const nodes = Array.from({ length: nodeCount }, (_, i) => ({
      name: `node${i + 1}`,
      index: i + 1,
      address: nodeAddress(i + 1),
      netns: createNetns(),
    }));
    const network = new LabNetwork(fabric, controller, nodes);
    try {
      await network.#wire();
    } catch (error) {
      network.close();
      throw error;
    }
    return network;
  }

  /** Makes a pod's namespace with its addresses and wire. `ip` works in it when this resolves. */
  async addPod(node: LabNode): Promise<PodNetwork> {
    const hosts = this.#hosts.get(node.name);
    if (hosts === undefined) {
      throw new LabError('LAB_NETWORK_FAILED', `no node "${node.name}"`);
    }
    const host = hosts.take();
    const netns = createNetns();
    const address = podAddress(node.index, host);
    const wire = `pod${host}`;
    const gateway = nodePodGateway(node.index);
    let isReleased = false;
    const release = async (): Promise<void> => {
      if (isReleased) {
        return;
      }
      isReleased = true;
      await ip(node.netns, [`link del ${wire}`]).catch(() => undefined); // gone with its other end
      netns[Symbol.dispose]();
      hosts.release(host);
    };
    try {
      quietIpv6(netns);
      await ip(node.netns, [
        `link add ${wire} type veth peer name eth0 netns ${netnsPath(netns)}`,
        `addr add ${POD_GATEWAY_V6}/64 dev ${wire} nodad`,
        `link set ${wire} up`,
        `route add ${address.v4}/32 dev ${wire} src ${gateway.v4}`,
        `route add ${address.v6}/128 dev ${wire} src ${gateway.v6}`,
      ]);
      await ip(netns, [
        'link set lo up',
        `addr add ${address.v4}/32 dev eth0`,
        `addr add ${address.v6}/128 dev eth0 nodad`,
        'link set eth0 up',
        `route add ${gateway.v4}/32 dev eth0 scope link`,
        `route add default via ${gateway.v4} dev eth0 src ${address.v4}`,
        `route add ::/0 via ${POD_GATEWAY_V6} dev eth0 src ${address.v6}`,
      ]);
    } catch (error) {
      await release();
      throw error;
    }
    return { netns, address, release };
  }

  /** Lets go of every namespace but the pods'; the kernel removes them once no process is inside. */
  close(): void {
    for (const netns of [...this.nodes.map((node) => node.netns), this.controller, this.fabric]) {
      netns[Symbol.dispose]();
    }
  }

  async #wire(): Promise<void> {
    quietIpv6(this.fabric);
    writeSysctl(this.fabric, 'net.ipv4.ip_forward', '1');
    writeSysctl(this.fabric, 'net.ipv6.conf.all.forwarding', '1');
    await ip(this.fabric, [
      'link set lo up',
      'link add br0 type bridge mcast_snooping 0',
      `addr add ${FABRIC.v4}/24 dev br0`,
      `addr add ${FABRIC.v6}/64 dev br0 nodad`,
      `addr add ${DNS.v4}/32 dev lo`,
      `addr add ${DNS.v6}/128 dev lo nodad`,
      'link set br0 up',
      'route add unreachable default',
      'route add unreachable ::/0',
    ]);
    await this.#attach('controller', this.controller, CONTROLLER);
    for (const node of this.nodes) {
      writeSysctl(node.netns, 'net.ipv4.ip_forward', '1');
      await this.#attach(node.name, node.netns, node.address);
      writeSysctl(node.netns, 'net.ipv6.conf.all.forwarding', '1');
      const gateway = nodePodGateway(node.index);
      await ip(node.netns, [
        `addr add ${gateway.v4}/32 dev lo`,
        `addr add ${gateway.v6}/128 dev lo nodad`,
        ...podRoutes(this.nodes.filter((other) => other !== node)),
      ]);
    }
    await ip(this.fabric, podRoutes(this.nodes));
    await ip(this.controller, podRoutes(this.nodes));
  }

  async #attach(port: string, netns: Netns, address: DualAddress): Promise<void> {
    quietIpv6(netns);
    await ip(this.fabric, [
      `link add ${port} type veth peer name eth0 netns ${netnsPath(netns)}`,
      `link set ${port} master br0 up`,
    ]);
    await ip(netns, [
      'link set lo up',
      `addr add ${address.v4}/24 dev eth0`,
      `addr add ${address.v6}/64 dev eth0 nodad`,
      'link set eth0 up',
      `route add default via ${FABRIC.v4}`,
      `route add ::/0 via ${FABRIC.v6}`,
    ]);
  }
}

function podRoutes(nodes: readonly LabNode[]): string[] {
  return nodes.flatMap((node) => {
    const range = podRange(node.index);
    return [
      `route add ${range.v4} via ${node.address.v4}`,
      `route add ${range.v6} via ${node.address.v6}`,
    ];
  });
}

/** No duplicate address detection and no router search: both would keep addresses unusable for a second. */
function quietIpv6(netns: Netns): void {
  if (!existsSync('/proc/sys/net/ipv6')) {
    throw new LabError(
      'LAB_NETWORK_FAILED',
      'the lab needs IPv6, which this kernel has switched off',
    );
  }
  for (const scope of ['all', 'default']) {
    writeSysctl(netns, `net.ipv6.conf.${scope}.disable_ipv6`, '0');
    writeSysctl(netns, `net.ipv6.conf.${scope}.accept_dad`, '0');
    writeSysctl(netns, `net.ipv6.conf.${scope}.accept_ra`, '0');
  }
}

/** `ip -batch`, one process for many commands. Throws with ip's own words, which name the line. */
async function ip(netns: Netns, commands: readonly string[]): Promise<void> {
  const script = `exec ip -batch - <<'END'\n${commands.join('\n')}\nEND\n`;
  const child = spawnInNetns(netns, '/bin/sh', ['-c', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: TOOL_PATH },
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once('error', reject);
  child.once('close', (code) => {
    if (code === 0) {
      resolve();
    } else {
      reject(new LabError('LAB_NETWORK_FAILED', `ip: ${said.trim()}\n${commands.join('\n')}`));
    }
  });
  await promise;
}
