/** `meshctl waypoint apply|generate|list|status|delete`, as people know them of istioctl. */
import { isKubeError, type KubeObject } from '@ambit/kube';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { stringify } from 'yaml';
import { EXIT, UserError } from '../errors.ts';
import { addClusterOptions, type Cluster, withCluster } from '../install/cluster.ts';
import { timeoutOption } from '../install/options.ts';
import { note, print } from '../output.ts';
import { labelsOf, NAMESPACES, namespaceOr, readNamespace } from './namespaces.ts';
import {
  GATEWAYS,
  TRAFFIC_TYPES,
  USE_WAYPOINT,
  USE_WAYPOINT_NAMESPACE,
  usersOf,
  waypointGateway,
} from './waypoint-objects.ts';
import {
  findWaypoints,
  registerList,
  registerStatus,
  type WaypointOptions,
  waitForWaypoint,
} from './waypoint-views.ts';

const EXAMPLES = `
Examples:
  meshctl waypoint apply -n shop --enroll-namespace --wait
  meshctl waypoint generate --for workload > waypoint.yaml
  meshctl waypoint list -A
  meshctl waypoint status waypoint -n shop
  meshctl waypoint delete waypoint -n shop

A namespace needs none to begin with: where a policy or route asks for HTTP, one is made by itself.`;

export function registerWaypoint(program: Command): void {
  const waypoint = program
    .command('waypoint')
    .summary('apply, list and delete waypoints')
    .description('Manages waypoints: the proxies that decide about HTTP.')
    .addHelpText('after', EXAMPLES);
  registerApply(waypoint);
  registerGenerate(waypoint);
  registerList(waypoint);
  registerStatus(waypoint);
  registerDelete(waypoint);
}

function addWantedOptions(command: Command): Command {
  return command
    .option('-n, --namespace <name>', "where (default: the context's)")
    .option('--name <name>', 'name of the waypoint', parseName, 'waypoint')
    .addOption(
      new Option('--for <type>', 'traffic that goes through it').choices([...TRAFFIC_TYPES]),
    )
    .option('-r, --revision <name>', 'revision of the control plane');
}

/** The controller makes one of this name where a policy or route needs it and nobody applied one. */
const ON_DEMAND_NAME = 'waypoint';

/** `none` means no waypoint where it is a label's value. */
function parseName(written: string): string {
  if (written === 'none')
    throw new InvalidArgumentError('"none" means no waypoint; take another name');
  if (!/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(written)) {
    throw new InvalidArgumentError('allowed: a DNS label, such as waypoint');
  }
  return written;
}

function registerApply(waypoint: Command): void {
  addWantedOptions(addClusterOptions(waypoint.command('apply')))
    .summary('make a waypoint')
    .description('Makes a waypoint, or brings it to what is asked for.')
    .option('--enroll-namespace', 'label the namespace to use it', false)
    .option('--overwrite', 'also if the namespace uses another one', false)
    .option('-w, --wait', 'wait until it runs', false)
    .addOption(timeoutOption('--waypoint-timeout <time>', 'how long to wait', 90_000))
    .addHelpText('after', '\nExample:\n  meshctl waypoint apply -n shop --enroll-namespace --wait')
    .action(async (options: WaypointOptions) => {
      await withCluster(options, async (cluster) => await applyWaypoint(cluster, options));
    });
}

async function applyWaypoint(cluster: Cluster, options: WaypointOptions): Promise<void> {
  const { name, wait } = options;
  const namespace = namespaceOr(cluster, options.namespace);
  const found = await readNamespace(cluster, namespace);
  if (options.enrollNamespace) checkEnrolment(found, options);
  const gateway = waypointGateway({
    namespace,
    name,
    trafficType: options.for,
    revision: options.revision,
  });
  try {
    await cluster.client.apply(GATEWAYS, gateway as unknown as KubeObject, { force: true });
  } catch (error) {
    if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error;
    throw new UserError('this cluster does not know Gateway objects', {
      why: error.message,
      fix: 'install the standard channel of the Gateway API; meshctl check --pre tests it',
    });
  }
  if (wait) await waitForWaypoint(cluster, { namespace, name, timeoutMs: options.waypointTimeout });
  print(`✅ waypoint ${namespace}/${name} applied`);
  if (!options.enrollNamespace) return;
  const labels = { [USE_WAYPOINT]: name, [USE_WAYPOINT_NAMESPACE]: null };
  await cluster.client.patch(
    NAMESPACES,
    { name: namespace },
    { type: 'merge', patch: { metadata: { labels } } },
  );
  print(`✅ namespace ${namespace} labeled with "${USE_WAYPOINT}: ${name}"`);
  if (labelsOf(found)['istio.io/dataplane-mode'] !== 'ambient') {
    note(
      `‼ namespace ${namespace} is not enrolled: its waypoint decides nothing until meshctl enroll ${namespace}`,
    );
  }
}

function checkEnrolment(namespace: KubeObject, { name, overwrite }: WaypointOptions): void {
  const used = labelsOf(namespace)[USE_WAYPOINT];
  if (used === undefined || used === name || overwrite) return;
  throw new UserError(`namespace ${namespace.metadata.name} uses waypoint "${used}"`, {
    fix: 'say --overwrite to replace it',
  });
}

function registerGenerate(waypoint: Command): void {
  addWantedOptions(waypoint.command('generate'))
    .summary('print what apply would make')
    .description('Prints the YAML of a waypoint; asks no cluster.')
    .addHelpText(
      'after',
      '\nExample:\n  meshctl waypoint generate --for all -n shop > waypoint.yaml',
    )
    .action(({ namespace, name, for: trafficType, revision }: WaypointOptions) => {
      print(stringify(waypointGateway({ namespace, name, trafficType, revision })));
    });
}

function registerDelete(waypoint: Command): void {
  addClusterOptions(waypoint.command('delete'))
    .argument('[names...]', 'which')
    .summary('delete waypoints')
    .description(
      'Deletes waypoints. What is labelled to use one refuses callers afterwards: it says who.',
    )
    .option('-n, --namespace <name>', "where (default: the context's)")
    .option('--all', 'all of the namespace', false)
    .addHelpText('after', '\nExample:\n  meshctl waypoint delete waypoint -n shop')
    .action(async (names: readonly string[], options: WaypointOptions) => {
      if ((names.length === 0) === !options.all) {
        throw new UserError('which?', { fix: 'name some, or say --all', exitCode: EXIT.usage });
      }
      await withCluster(options, async (cluster) => await deleteWaypoints(cluster, names, options));
    });
}

async function deleteWaypoints(
  cluster: Cluster,
  names: readonly string[],
  options: WaypointOptions,
): Promise<void> {
  const namespace = namespaceOr(cluster, options.namespace);
  const found = (await findWaypoints(cluster, namespace)).map(({ metadata }) => metadata.name);
  for (const name of options.all ? found : names) {
    if (!found.includes(name)) {
      note(`✘ there is no waypoint ${namespace}/${name}`);
      process.exitCode = EXIT.finding;
      continue;
    }
    const users = await usersOf(cluster, { namespace, name });
    await cluster.client.delete(GATEWAYS, { namespace, name });
    print(`✅ waypoint ${namespace}/${name} deleted`);
    if (users.length > 0) {
      note(
        `‼ still labelled ${USE_WAYPOINT}=${name}, and refusing callers until it is back: ${users.join(', ')}${name === ON_DEMAND_NAME ? ' (it is made again by itself where HTTP has to be decided)' : ''}`,
      );
    }
  }
}
