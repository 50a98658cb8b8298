/** `meshctl check` and `check --pre`. */
import { type Command, Option } from 'commander';
import { EXIT } from '../errors.ts';
import { printAs } from '../output.ts';
import { NAMESPACE_DEFAULT } from './chart-files.ts';
import { type CheckResult, runChecks } from './checks/check.ts';
import { CLUSTER_CHECKS } from './checks/cluster-checks.ts';
import { MESH_CHECKS } from './checks/mesh-checks.ts';
import { NODE_CHECKS } from './checks/node-checks.ts';
import { VERSION_CHECKS } from './checks/version-checks.ts';
import { addClusterOptions, type ClusterOptions, withCluster } from './cluster.ts';
import { addNamespaceOptions } from './options.ts';

interface CheckOptions extends ClusterOptions {
  readonly namespace: string;
  readonly pre: boolean;
  readonly list: boolean;
  readonly output: 'table' | 'json' | 'yaml';
}

const EXAMPLES = `
Examples:
  meshctl check --pre          # before installing
  meshctl check                # is it healthy?
  meshctl check -o json
  meshctl check --list         # every check by its id

√ fine · ‼ works, but look at it · × broken. Exit code 1 when anything is broken.`;

const MARKS = { ok: '√', warning: '‼', error: '×' } as const;

export function registerCheck(program: Command): void {
  const where = { description: 'where it is installed', preset: NAMESPACE_DEFAULT };
  addNamespaceOptions(addClusterOptions(program.command('check')), where)
    .summary('test a cluster and the mesh in it')
    .description(
      'Tests whether a cluster can take Ambit (--pre), or whether the mesh in it is healthy.',
    )
    .option('--pre', 'only what must be so before installing', false)
    .option('--list', 'only say what is tested', false)
    .addOption(
      new Option('-o, --output <format>').choices(['table', 'json', 'yaml']).default('table'),
    )
    .addHelpText('after', EXAMPLES)
    .action(check);
}

async function check(options: CheckOptions): Promise<void> {
  const { pre, list, output, namespace } = options;
  const checks = pre
    ? CLUSTER_CHECKS
    : [...CLUSTER_CHECKS, ...MESH_CHECKS, ...VERSION_CHECKS, ...NODE_CHECKS];
  if (list) {
    const listed = checks.map(({ id, category, description, hint }) => ({
      id,
      category,
      description,
      hint,
    }));
    printAs(output, listed, () =>
      listed.map(({ id, description }) => `${id}: ${description}`).join('\n'),
    );
    return;
  }
  await withCluster(options, async (cluster) => {
    const results = await runChecks(checks, { cluster, namespace });
    const success = results.every(({ result }) => result !== 'error');
    printAs(output, { success, checks: results }, () => describeResults(results));
    if (!success) process.exitCode = EXIT.finding;
  });
}

export function describeResults(results: readonly CheckResult[]): string {
  const lines: string[] = [];
  let category = '';
  for (const { category: own, id, description, result, reason, hint } of results) {
    if (own !== category) lines.push(...(category === '' ? [] : ['']), own, '-'.repeat(own.length));
    category = own;
    lines.push(
      `${MARKS[result]} ${description}${result === 'ok' && reason !== undefined ? ` (${reason})` : ''}`,
    );
    if (result !== 'ok') lines.push(`    ${reason ?? ''}`, `    ${hint ?? ''} [${id}]`);
  }
  const isBroken = results.some(({ result }) => result === 'error');
  return [...lines, '', `Status check results are ${isBroken ? MARKS.error : MARKS.ok}`].join('\n');
}
