/**
 * `meshctl bypass`: break glass. A namespace is let out of the mesh for a time, by annotations that say by whom, why
 * and until when; the controllers end it, whoever is there.
 */
import {
  BYPASS_BY,
  BYPASS_MS_MAX,
  BYPASS_REASON,
  BYPASS_SINCE,
  BYPASS_UNTIL,
  readBypass,
} from '@ambit/model';
import { type Command, Option } from 'commander';
import { outputOption } from '../commands/shared-options.ts';
import { EXIT, UserError } from '../errors.ts';
import {
  addClusterOptions,
  type Cluster,
  type ClusterOptions,
  gvr,
  withCluster,
} from '../install/cluster.ts';
import { effectOn } from '../install/enroll-command.ts';
import { parseTimeout } from '../install/options.ts';
import { formatSpan, note, type OutputFormat, print, printAs, table } from '../output.ts';
import { record, rfc3339, serverNow, whoAmI } from './cluster-record.ts';
import { annotationsOf, NAMESPACES, readNamespace } from './namespaces.ts';

interface BypassOptions extends ClusterOptions {
  readonly for?: number;
  readonly reason?: string;
  readonly end: boolean;
  readonly dryRun: boolean;
  readonly output: OutputFormat;
}

const EXAMPLES = `
Examples:
  meshctl bypass shop --for 10m --reason 'CA is down, see INC-42'
  meshctl bypass shop --end
  meshctl bypass list

For the time, traffic of these pods is in clear and no policy of the mesh holds for them; meshctl status says so all
the while (exit code 1). At most 24h. Its end needs nobody: the controller captures the pods again. Pods with a label
of their own keep to it. Exit code 1: refused, and why.`;

const PODS = gvr('v1', 'pods');

export function registerBypass(program: Command): void {
  const command = addClusterOptions(program.command('bypass'))
    .argument('[namespace]', 'which')
    .summary('break glass: let a namespace out of the mesh for a time')
    .description('Lets the pods of a namespace out of the mesh for a time.')
    .addOption(new Option('--for <time>', 'how long: 10m, 2h; at most 24h').argParser(parseTimeout))
    .option('--reason <text>', 'why; recorded, and shown to everybody')
    .option('--end', 'end it now', false)
    .option('--dry-run', 'only say what would happen', false)
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(async (namespace: string | undefined, options: BypassOptions) => {
      await runBypass(namespace, options);
    });
  command
    .command('list')
    .summary('namespaces that are out of the mesh, and those that were')
    .description('Lists what was let out of the mesh, by whom, why and until when.')
    .addHelpText('after', '\nExample:\n  meshctl bypass list -o json')
    .action(async (_: unknown, self: Command) => {
      const options: BypassOptions = self.optsWithGlobals();
      await withCluster(options, async (cluster) => await listBypasses(cluster, options));
    });
}

async function runBypass(namespace: string | undefined, options: BypassOptions): Promise<void> {
  if (namespace === undefined) {
    throw usage('which namespace?', 'meshctl bypass NAMESPACE --for 10m --reason TEXT');
  }
  if (options.end) {
    await withCluster(options, async (cluster) => await endBypass(cluster, namespace, options));
    return;
  }
  const lengthMs = options.for;
  const reason = options.reason?.trim() ?? '';
  if (lengthMs === undefined) throw usage('for how long?', 'say it: --for 10m');
  if (lengthMs <= 0 || lengthMs > BYPASS_MS_MAX) {
    throw usage(
      'a bypass takes between a second and 24 hours',
      'take the namespace out for good: meshctl unenroll',
    );
  }
  if (reason === '')
    throw usage('why?', "say it to those who will ask: --reason 'CA is down, see INC-42'");
  await withCluster(options, async (cluster) => {
    await beginBypass(cluster, namespace, { ...options, lengthMs, reason });
  });
}

function usage(message: string, fix: string): UserError {
  return new UserError(message, { fix, exitCode: EXIT.usage });
}

async function beginBypass(
  cluster: Cluster,
  namespace: string,
  options: BypassOptions & { readonly lengthMs: number; readonly reason: string },
): Promise<void> {
  const { lengthMs, reason, dryRun, output } = options;
  await readNamespace(cluster, namespace);
  const nowMs = await serverNow(cluster);
  const by = await whoAmI(cluster);
  const until = rfc3339(nowMs + lengthMs);
  const annotations = {
    [BYPASS_UNTIL]: until,
    [BYPASS_SINCE]: rfc3339(nowMs),
    [BYPASS_BY]: by,
    [BYPASS_REASON]: reason,
  };
  const { bypass, findings } = readBypass(annotations);
  if (bypass === undefined) {
    throw new UserError('that would not be a bypass', { why: findings[0]?.message ?? '' });
  }
  const pods = await cluster.client.list(PODS, { namespace });
  const rows = pods.map((pod) => ({ pod: pod.metadata.name, effect: effectOn(pod, false) }));
  if (!dryRun) {
    const patch = { metadata: { annotations } };
    await cluster.client.patch(NAMESPACES, { name: namespace }, { type: 'merge', patch });
    await record(cluster, namespace, {
      reason: 'BypassBegan',
      message: `out of the mesh until ${until}, by ${by}: ${reason}`,
    });
  }
  printAs(output, { namespace, until, by, reason, isDryRun: dryRun, pods: rows }, () => {
    const end = dryRun
      ? `Nothing was changed. Namespace ${namespace} would be out of the mesh until ${until}`
      : `‼ namespace ${namespace} is out of the mesh until ${until} (by ${by}: ${reason})\n  earlier: meshctl bypass ${namespace} --end`;
    const shown = rows.map(({ pod, effect }) => [pod, effect]);
    return rows.length === 0 ? end : `${table(['POD', 'EFFECT'], shown)}\n${end}`;
  });
}

async function endBypass(
  cluster: Cluster,
  namespace: string,
  options: BypassOptions,
): Promise<void> {
  const found = annotationsOf(await readNamespace(cluster, namespace));
  const keys = [BYPASS_UNTIL, BYPASS_SINCE, BYPASS_BY, BYPASS_REASON];
  if (keys.every((key) => found[key] === undefined)) {
    print(`namespace ${namespace} is not bypassed`);
    return;
  }
  if (options.dryRun) {
    print(`Nothing was changed. The bypass of namespace ${namespace} would end`);
    return;
  }
  const patch = { metadata: { annotations: Object.fromEntries(keys.map((key) => [key, null])) } };
  await cluster.client.patch(NAMESPACES, { name: namespace }, { type: 'merge', patch });
  const by = await whoAmI(cluster);
  await record(cluster, namespace, { reason: 'BypassEnded', message: `ended by ${by}` });
  print(`✔ the bypass of namespace ${namespace} is over; its pods are captured again`);
}

interface BypassRow {
  readonly namespace: string;
  readonly state: 'open' | 'over' | 'invalid';
  readonly until?: string;
  readonly leftMs?: number;
  readonly by?: string;
  readonly reason?: string;
  readonly problem?: string;
}

async function listBypasses(cluster: Cluster, { output }: BypassOptions): Promise<void> {
  const nowMs = await serverNow(cluster);
  const items = (await cluster.client.list(NAMESPACES)).flatMap(
    (namespace): readonly BypassRow[] => {
      const { bypass, findings } = readBypass(annotationsOf(namespace));
      const { name } = namespace.metadata;
      if (bypass === undefined) {
        const [first] = findings;
        return first === undefined
          ? []
          : [{ namespace: name, state: 'invalid', problem: `${first.path} ${first.message}` }];
      }
      const { untilMs, by, reason } = bypass;
      const state = nowMs < untilMs ? 'open' : 'over';
      return [
        { namespace: name, state, until: rfc3339(untilMs), leftMs: untilMs - nowMs, by, reason },
      ];
    },
  );
  if (items.length === 0 && output === 'table') {
    note('no namespace is bypassed');
    return;
  }
  printAs(output, { items }, () =>
    table(
      ['NAMESPACE', 'STATE', 'UNTIL', 'LEFT', 'BY', 'REASON'],
      items.map((item) => [
        item.namespace,
        item.state,
        item.until ?? '-',
        item.state === 'open' ? formatSpan(item.leftMs ?? 0) : '-',
        item.by ?? '-',
        item.reason ?? item.problem ?? '-',
      ]),
    ),
  );
}
