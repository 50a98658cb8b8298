/** Waypoints that there are: lists, whether they run, and waiting until they do. */
import { isKubeError, type KubeObject } from '@ambit/kube';
import type { Command } from 'commander';
import { outputOption } from '../commands/shared-options.ts';
import { EXIT, UserError } from '../errors.ts';
import {
  addClusterOptions,
  type Cluster,
  type ClusterOptions,
  withCluster,
} from '../install/cluster.ts';
import { timeoutOption } from '../install/options.ts';
import { waitUntil } from '../install/rollout.ts';
import { note, type OutputFormat, printAs, table } from '../output.ts';
import { loneWarnings } from './lone-waypoints.ts';
import { namespaceOr } from './namespaces.ts';
import {
  GATEWAYS,
  isWaypoint,
  type TrafficType,
  usersOf,
  waypointFacts,
} from './waypoint-objects.ts';

export interface WaypointOptions extends ClusterOptions {
  readonly namespace?: string;
  readonly name: string;
  readonly for?: TrafficType;
  readonly revision?: string;
  readonly enrollNamespace: boolean;
  readonly overwrite: boolean;
  readonly wait: boolean;
  readonly waypointTimeout: number;
  readonly all: boolean;
  readonly allNamespaces: boolean;
  readonly output: OutputFormat;
}

export async function waitForWaypoint(
  cluster: Cluster,
  of: { readonly namespace: string; readonly name: string; readonly timeoutMs: number },
): Promise<void> {
  const { namespace, name, timeoutMs } = of;
  const deadline = cluster.clock.now() + timeoutMs;
  await waitUntil(cluster, { deadline, what: `waypoint ${namespace}/${name}` }, async () => {
    const found = await cluster.client.find(GATEWAYS, { namespace, name });
    if (found === undefined) return 'it is not there';
    const { isProgrammed, reason, message } = waypointFacts(found);
    return isProgrammed ? undefined : `${reason}: ${message}`;
  });
}

export function registerList(waypoint: Command): void {
  addClusterOptions(waypoint.command('list'))
    .summary('list waypoints')
    .description('Lists waypoints, whether they run, and who uses them.')
    .option('-n, --namespace <name>', "where (default: the context's)")
    .option('-A, --all-namespaces', 'everywhere', false)
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  meshctl waypoint list -A')
    .action(async (options: WaypointOptions) => {
      await withCluster(options, async (cluster) => await listWaypoints(cluster, options));
    });
}

async function listWaypoints(cluster: Cluster, options: WaypointOptions): Promise<void> {
  const namespace = namespaceOr(cluster, options.namespace);
  const all = options.allNamespaces;
  const found = await findWaypoints(cluster, all ? undefined : namespace);
  const items = await Promise.all(
    found.map(async (gateway) => {
      const facts = waypointFacts(gateway);
      return { ...facts, usedBy: await usersOf(cluster, facts) };
    }),
  );
  if (items.length === 0 && options.output === 'table') {
    note(all ? 'no waypoints found' : `no waypoints found in namespace ${namespace}`);
    return;
  }
  printAs(options.output, { items }, () =>
    table(
      [...(all ? ['NAMESPACE'] : []), 'NAME', 'REVISION', 'PROGRAMMED', 'TRAFFIC TYPE', 'USED BY'],
      items.map((item) => [
        ...(all ? [item.namespace] : []),
        item.name,
        item.revision,
        item.isProgrammed ? 'True' : 'False',
        item.trafficType,
        item.usedBy.join(', ') || 'nobody by label',
      ]),
    ),
  );
}

export async function findWaypoints(
  { client }: Cluster,
  namespace: string | undefined,
): Promise<readonly KubeObject[]> {
  try {
    const all = await client.list(GATEWAYS, namespace === undefined ? {} : { namespace });
    return all.filter(isWaypoint);
  } catch (error) {
    if (isKubeError(error, 'KUBE_NOT_FOUND')) return [];
    throw error;
  }
}

export function registerStatus(waypoint: Command): void {
  addClusterOptions(waypoint.command('status'))
    .argument('[name]', 'only this one')
    .summary('say whether waypoints run')
    .description('Says whether waypoints run, and why not. Exit code 1 if one does not.')
    .option('-n, --namespace <name>', "where (default: the context's)")
    .option('-w, --wait', 'wait until they run', false)
    .addOption(timeoutOption('--waypoint-timeout <time>', 'how long to wait', 90_000))
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  meshctl waypoint status waypoint -n shop --wait')
    .action(async (name: string | undefined, options: WaypointOptions) => {
      await withCluster(options, async (cluster) => await waypointStatus(cluster, name, options));
    });
}

async function waypointStatus(
  cluster: Cluster,
  name: string | undefined,
  options: WaypointOptions,
): Promise<void> {
  const namespace = namespaceOr(cluster, options.namespace);
  const timeoutMs = options.waypointTimeout;
  const read = async (): Promise<readonly KubeObject[]> =>
    (await findWaypoints(cluster, namespace)).filter(
      ({ metadata }) => name === undefined || metadata.name === name,
    );
  for (const { metadata } of options.wait ? await read() : []) {
    await waitForWaypoint(cluster, { namespace, name: metadata.name, timeoutMs });
  }
  const items = (await read()).map(waypointFacts);
  if (items.length === 0) {
    throw new UserError(
      `no waypoint${name === undefined ? '' : ` "${name}"`} in namespace ${namespace}`,
      {
        fix: 'meshctl waypoint list -A shows all',
      },
    );
  }
  const warnings = await loneWarnings(cluster, namespace, items);
  printAs(options.output, { items, warnings }, () =>
    table(
      ['NAMESPACE', 'NAME', 'STATUS', 'TYPE', 'REASON', 'MESSAGE'],
      items.map(({ isProgrammed, reason, message, ...item }) => [
        item.namespace,
        item.name,
        isProgrammed ? 'True' : 'False',
        'Programmed',
        reason,
        message,
      ]),
    ),
  );
  if (options.output === 'table') for (const warning of warnings) note(warning);
  if (items.some(({ isProgrammed }) => !isProgrammed)) process.exitCode = EXIT.finding;
}
