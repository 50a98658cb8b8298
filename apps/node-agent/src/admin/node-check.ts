/**
 * What this agent sees of its node, for `meshctl check`: kernel, network configuration, clock, and whether the tunnel port
 * of pods on other nodes can be reached.
 *
 * Rule: it looks and changes nothing; the connections that it opens are closed as soon as they stand.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces, release } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@ambit/core';
import type { Workload } from '@ambit/model';
import { HBONE_PORT } from '../capture/constants.ts';
import type { AgentConfig } from '../config.ts';
import type { PodRow } from '../pods/pod-registry.ts';

const REACH_MS_MAX = 2_000;
/** Of so many other nodes one pod each is dialled. */
const REACH_NODES_MAX = 50;
const REACH_AT_ONCE = 25;
const ERRORS_MAX = 10;

export interface NodeCheckSources {
  readonly config: AgentConfig;
  readonly version: string;
  readonly clock: Clock;
  readonly workloads: Iterable<Workload>;
  readonly rows: readonly PodRow[];
  readonly connection:
    | { readonly connected: boolean; readonly lastError: string | undefined }
    | undefined;
  /** Why the CNI plugin is not in place; undefined when it is, or is not wanted. */
  readonly cniProblem: string | undefined;
  readonly dial?: Dial;
}

/** Resolves when a connection stands, rejects with why not. */
export type Dial = (address: string, port: number) => Promise<void>;

export interface Reach {
  readonly node: string;
  readonly address: string;
  readonly pod: string;
  /** Absent: it was reached. */
  readonly error?: string;
}

export async function nodeCheck(sources: NodeCheckSources): Promise<object> {
  const {
    config,
    version,
    clock,
    workloads,
    rows,
    connection,
    cniProblem,
    dial = dialTcp,
  } = sources;
  const failed = rows.filter(({ lastError }) => lastError !== undefined);
  return {
    node: config.nodeName,
    version,
    nowMs: clock.wallNow(),
    kernel: release(),
    mtu: ownMtu(),
    isIpv6Enabled: config.ipv6Enabled,
    probeSources: [config.probeSourceV4, config.probeSourceV6],
    cni: {
      isWanted: config.cni !== undefined,
      problem: cniProblem ?? null,
      files: config.cni === undefined ? [] : configFiles(config.cni.confDir),
    },
    controller: {
      isConnected: connection?.connected === true,
      lastError: connection?.lastError ?? null,
    },
    pods: {
      wanted: rows.filter(({ isWanted }) => isWanted).length,
      captured: rows.filter(({ state }) => state === 'captured').length,
      errors: failed
        .slice(0, ERRORS_MAX)
        .map(({ pod, lastError }) => ({ pod: `${pod.namespace}/${pod.name}`, error: lastError })),
    },
    reach: await reachOthers(pickTargets(workloads, config.nodeName), dial),
  };
}

/** One pod in the mesh of each other node. */
function pickTargets(workloads: Iterable<Workload>, own: string): readonly Workload[] {
  const byNode = new Map<string, Workload>();
  for (const workload of workloads) {
    const { node, tunnelProtocol, status, networkMode, addresses } = workload;
    const isTarget =
      node !== '' &&
      node !== own &&
      tunnelProtocol === 'HBONE' &&
      status === 'HEALTHY' &&
      networkMode === 'STANDARD' &&
      addresses.length > 0;
    if (isTarget && !byNode.has(node)) byNode.set(node, workload);
    if (byNode.size >= REACH_NODES_MAX) break;
  }
  return [...byNode.values()];
}

async function reachOthers(targets: readonly Workload[], dial: Dial): Promise<readonly Reach[]> {
  const found: Reach[] = [];
  for (let at = 0; at < targets.length; at += REACH_AT_ONCE) {
    const some = targets.slice(at, at + REACH_AT_ONCE);
    found.push(...(await Promise.all(some.map(async (target) => await reachOne(target, dial)))));
  }
  return found;
}

async function reachOne(
  { node, namespace, name, addresses }: Workload,
  dial: Dial,
): Promise<Reach> {
  const [address = ''] = addresses;
  const reach = { node, address, pod: `${namespace}/${name}` };
  try {
    await dial(address, HBONE_PORT);
    return reach;
  } catch (error) {
    return { ...reach, error: error instanceof Error ? error.message : String(error) };
  }
}

async function dialTcp(host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host, port });
  socket.setTimeout(REACH_MS_MAX, () =>
    reject(new Error(`no answer within ${REACH_MS_MAX / 1000} s`)),
  );
  socket.once('error', reject);
  socket.once('connect', resolve);
  try {
    await promise;
  } finally {
    socket.destroy();
  }
}

/** Of the interface that this agent's own pod has, as other pods of the node have it; undefined if it cannot be read. */
function ownMtu(): number | undefined {
  const [name] = Object.entries(networkInterfaces()).flatMap(([one, addresses]) =>
    (addresses ?? []).some(({ internal }) => !internal) ? [one] : [],
  );
  if (name === undefined) return undefined;
  try {
    return Number(readFileSync(`/sys/class/net/${name}/mtu`, 'utf8').trim()) || undefined;
  } catch {
    // A container without sysfs says nothing of it.
    return undefined;
  }
}

/** As the container runtime reads them: it takes the first. */
function configFiles(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.(?:conflist|conf|json)$/.test(name))
      .sort()
      .map((name) => `${name}: ${pluginsOf(join(folder, name))}`);
  } catch {
    return [];
  }
}

function pluginsOf(path: string): string {
  try {
    const json: unknown = JSON.parse(readFileSync(path, 'utf8'));
    const { plugins, type } = json as { readonly plugins?: unknown; readonly type?: unknown };
    const list = Array.isArray(plugins)
      ? (plugins as readonly { readonly type?: unknown }[])
      : [{ type }];
    return list.map((plugin) => String(plugin.type)).join(', ');
  } catch {
    return 'not readable';
  }
}
