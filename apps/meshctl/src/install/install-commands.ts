/** `meshctl install`, `upgrade`, `uninstall` and `verify-install`. */
import { createInterface } from 'node:readline/promises';
import { type Command, Option } from 'commander';
import { EXIT, UserError } from '../errors.ts';
import { note, print, printAs, table } from '../output.ts';
import { NAMESPACE_DEFAULT } from './chart-files.ts';
import {
  addClusterOptions,
  type Cluster,
  type ClusterOptions,
  deleteTarget,
  describeTarget,
  FIELD_MANAGER,
  withCluster,
} from './cluster.ts';
import { emitYaml } from './emit-yaml.ts';
import { type AppliedObject, install, summary } from './installer.ts';
import { readInventory } from './inventory.ts';
import { renderCommented, renderNamespace, renderObjects } from './manifests.ts';
import { addNamespaceOptions, timeoutOption } from './options.ts';
import { PROFILE_NAMES } from './profiles.ts';
import { waitForRollout } from './rollout.ts';
import { cleanNodes, purgeableCrds, removeObjects } from './uninstaller.ts';
import { type GivenValues, readValues } from './value-sources.ts';

interface InstallOptions extends ClusterOptions {
  readonly namespace?: string;
  readonly profile?: string;
  readonly filename: readonly string[];
  readonly set: readonly string[];
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly wait: boolean;
  readonly timeout: number;
  readonly output: 'table' | 'json' | 'yaml';
}

const INSTALL_EXAMPLES = `
Examples:
  meshctl install
  meshctl install --profile strict --set controller.replicas=3
  meshctl install -f istio-operator.yaml --dry-run
  meshctl install --dry-run -o yaml > ambit.yaml      # for GitOps; asks no cluster

Doing it again changes nothing. Beside Istio: its CRDs stay as they are, nothing of it is touched.
Exit code 0: installed and ready. 1: not, and why. 69: the cluster does not answer.`;

const UPGRADE_EXAMPLES = `
Examples:
  meshctl upgrade
  meshctl upgrade --set tag=0.2.0 --timeout 10m

Keeps what the last install was given; -f and --set come on top. Agents are replaced one by one, and each new one
listens before the old one ends.`;

const UNINSTALL_EXAMPLES = `
Examples:
  meshctl uninstall --dry-run
  meshctl uninstall -y
  meshctl uninstall --nodes-only -y      # before helm uninstall

Pods that are enrolled talk in clear afterwards. Nodes are cleaned first; if one cannot be, everything else stays.`;

const INSTALLED_IN = { description: 'where it is installed', preset: NAMESPACE_DEFAULT };

export function registerInstall(program: Command): void {
  addInstallOptions(program.command('install'))
    .summary('install Ambit into a cluster')
    .description('Installs Ambit, or brings an installation to the values that are given.')
    .addHelpText('after', INSTALL_EXAMPLES)
    .action(async (options: InstallOptions) => await runInstall(options, false));
  addInstallOptions(program.command('upgrade'))
    .summary('bring an installation to this version')
    .description(
      'Brings an installation to the version of this program, with the values that it has.',
    )
    .addHelpText('after', UPGRADE_EXAMPLES)
    .action(async (options: InstallOptions) => await runInstall(options, true));
  registerUninstall(program);
  registerVerify(program);
}

function addInstallOptions(command: Command): Command {
  const list = (one: string, all: readonly string[]): readonly string[] => [...all, one];
  const description = `where to (default: ${NAMESPACE_DEFAULT})`;
  return addNamespaceOptions(addClusterOptions(command), { description })
    .option('--profile <name>', `one of ${PROFILE_NAMES.join(', ')} (default: default)`)
    .option('-f, --filename <file>', 'values, or an IstioOperator; may be repeated', list, [])
    .option('--set <path=value>', 'one value; may be repeated', list, [])
    .option(
      '--dry-run',
      'ask the API server, change nothing; with -o yaml or json only print',
      false,
    )
    .option('-y, --yes', 'do not ask', false)
    .option('--no-wait', 'do not wait until it runs')
    .addOption(timeoutOption('--timeout <time>', 'how long to wait, as 90s or 5m', 300_000))
    .addOption(
      new Option('-o, --output <format>').choices(['table', 'json', 'yaml']).default('table'),
    );
}

async function runInstall(options: InstallOptions, isUpgrade: boolean): Promise<void> {
  const { output, dryRun } = options;
  if (dryRun && output !== 'table' && !isUpgrade) {
    printManifests(options);
    return;
  }
  await withCluster(options, async (cluster) => {
    const guess = options.namespace ?? NAMESPACE_DEFAULT;
    const former = isUpgrade ? await readInventory(cluster, guess) : undefined;
    if (isUpgrade && former === undefined) {
      throw new UserError(`meshctl has installed nothing in namespace ${guess}`, {
        fix: 'meshctl install, or name the namespace with -n',
      });
    }
    const given = readValues({
      profile: options.profile ?? former?.profile,
      files: options.filename,
      sets: options.set,
      former: former?.values,
    });
    noteIgnored(given);
    const namespace = options.namespace ?? given.namespace ?? NAMESPACE_DEFAULT;
    const question = `${isUpgrade ? 'Upgrade' : 'Install'} Ambit (profile ${given.profile}) in ${namespace} of ${cluster.server}?`;
    if (!dryRun && !options.yes) await confirm(question);
    const say = output === 'table' ? print : note;
    const applied = await install(cluster, { namespace, given, isDryRun: dryRun, say });
    if (!dryRun && options.wait) {
      await waitForRollout(cluster, { namespace, timeoutMs: options.timeout, say });
    }
    printAs(output, applied, () => describeApplied(applied, dryRun));
  });
}

function printManifests(options: InstallOptions): void {
  const given = readValues({
    profile: options.profile,
    files: options.filename,
    sets: options.set,
  });
  noteIgnored(given);
  const namespace = options.namespace ?? given.namespace ?? NAMESPACE_DEFAULT;
  const context = { values: given.values, namespace, service: FIELD_MANAGER };
  if (options.output === 'json') {
    const items = [renderNamespace(context), ...renderObjects(context)];
    print(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2));
    return;
  }
  print(
    renderCommented(context, { withNamespace: true })
      .map((node) => emitYaml(node))
      .join('---\n'),
  );
}

function noteIgnored({ ignored }: GivenValues): void {
  for (const { path, why } of ignored) note(`ignored ${path}: ${why}`);
}

function describeApplied(applied: readonly AppliedObject[], isDryRun: boolean): string {
  const shown = applied.filter(({ change }) => change !== 'unchanged');
  const rows = shown.map(({ target, change, why }) => [change, describeTarget(target), why ?? '']);
  const end = isDryRun
    ? `Nothing was changed. It would be: ${summary(applied)}`
    : '✔ Installation complete';
  return [
    ...(isDryRun && rows.length > 0 ? [table(['CHANGE', 'OBJECT', 'WHY'], rows)] : []),
    end,
  ].join('\n');
}

/** Throws a UserError unless the answer is yes. */
async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new UserError('this needs a yes, and there is nobody to ask', {
      fix: 'say --yes, or look first with --dry-run',
      exitCode: EXIT.usage,
    });
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asking.question(`${question} (y/N) `);
  asking.close();
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new UserError('nothing was changed');
}

interface UninstallCommandOptions extends ClusterOptions {
  readonly namespace: string;
  readonly purge: boolean;
  readonly force: boolean;
  readonly nodesOnly: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly timeout: number;
}

function registerUninstall(program: Command): void {
  addNamespaceOptions(addClusterOptions(program.command('uninstall')), INSTALLED_IN)
    .summary('take Ambit out of a cluster')
    .description('Takes Ambit off the nodes and out of the cluster.')
    .option('--purge', 'the CRDs that Ambit brought too', false)
    .option('--force', 'with --purge: also with all objects of them', false)
    .option('--nodes-only', 'only end the agents and clean the nodes', false)
    .option('--dry-run', 'only say what would be deleted', false)
    .option('-y, --yes', 'do not ask', false)
    .addOption(timeoutOption('--timeout <time>', 'how long nodes may take', 300_000))
    .addHelpText('after', UNINSTALL_EXAMPLES)
    .action(async (options: UninstallCommandOptions) => {
      await withCluster(options, async (cluster) => await runUninstall(cluster, options));
    });
}

async function runUninstall(cluster: Cluster, options: UninstallCommandOptions): Promise<void> {
  const { namespace, timeout } = options;
  const inventory = await readInventory(cluster, namespace);
  if (inventory === undefined && !options.nodesOnly) {
    throw new UserError(`meshctl has installed nothing in namespace ${namespace}`, {
      why: `there is no ConfigMap ${namespace}/ambit-install`,
      fix: 'name the namespace with -n; what Helm installed: meshctl uninstall --nodes-only, then helm uninstall',
    });
  }
  const crds = options.purge ? await purgeableCrds(cluster, { isForced: options.force }) : [];
  const targets = [...(inventory?.objects ?? []), ...crds];
  if (options.dryRun) {
    print(targets.map((target) => `would delete ${describeTarget(target)}`).join('\n'));
    return;
  }
  if (!options.yes)
    await confirm(`Delete ${targets.length} objects of Ambit in ${cluster.server}?`);
  const { values } = readValues({
    profile: inventory?.profile,
    files: [],
    sets: [],
    former: inventory?.values,
  });
  const work = { namespace, inventory, values, timeoutMs: timeout, say: print };
  await cleanNodes(cluster, work);
  if (options.nodesOnly) return;
  await removeObjects(cluster, work);
  for (const crd of crds) await deleteTarget(cluster, crd);
  if (crds.length > 0) print(`✔ ${crds.length} CRDs are deleted`);
  print('✔ Ambit is uninstalled');
}

interface VerifyOptions extends ClusterOptions {
  readonly namespace: string;
  readonly output: 'table' | 'json' | 'yaml';
}

const VERIFY_EXAMPLES = `
Examples:
  meshctl verify-install
  meshctl verify-install -o json

Compares each object with what this version installs. Exit code 1: something is missing or was changed.`;

function registerVerify(program: Command): void {
  addNamespaceOptions(addClusterOptions(program.command('verify-install')), INSTALLED_IN)
    .summary('compare an installation with what was installed')
    .description('Says for each object whether it is there and as it was installed.')
    .addOption(
      new Option('-o, --output <format>').choices(['table', 'json', 'yaml']).default('table'),
    )
    .addHelpText('after', VERIFY_EXAMPLES)
    .action(async (options: VerifyOptions) => {
      await withCluster(options, async (cluster) => await runVerify(cluster, options));
    });
}

async function runVerify(cluster: Cluster, { namespace, output }: VerifyOptions): Promise<void> {
  const inventory = await readInventory(cluster, namespace);
  if (inventory === undefined) {
    throw new UserError(`meshctl has installed nothing in namespace ${namespace}`, {
      fix: 'meshctl install, or name the namespace with -n',
    });
  }
  const sources = { profile: inventory.profile, files: [], sets: [], former: inventory.values };
  const given = readValues(sources);
  const quiet = (): void => undefined;
  const found = await install(cluster, { namespace, given, isDryRun: true, say: quiet });
  const rows = found.map(({ target, change }) => [
    change === 'unchanged' || change === 'left' ? '✔' : '✘',
    describeTarget(target),
    WORDS[change],
  ]);
  printAs(output, found, () => table(['', 'OBJECT', 'STATE'], rows));
  if (rows.some(([mark]) => mark === '✘')) process.exitCode = EXIT.finding;
}

const WORDS = {
  unchanged: 'as installed',
  left: 'of somebody else',
  created: 'missing',
  configured: 'changed since, or of another version',
  deleted: 'of a former version',
} as const;
