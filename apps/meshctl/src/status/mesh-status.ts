/** `meshctl status`: is the mesh as it should be? Everything that is not makes exit code 1. */
import { systemClock } from '@ambit/core';
import type { EnrolledNamespace } from '@ambit/model';
import type { Command } from 'commander';
import { outputOption } from '../commands/shared-options.ts';
import { EXIT, UserError } from '../errors.ts';
import { timeoutOption } from '../install/options.ts';
import { formatSpan, note, type OutputFormat, printAs, table } from '../output.ts';
import { type MeshTarget, meshOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { collectStatus, type MeshStatus } from './collect-status.ts';
import { byName, configAge, PROXY_COLUMNS, proxyRow } from './proxy-rows.ts';
import { versionOfProxy } from './proxy-versions.ts';
import { some } from './status-problems.ts';

const EXAMPLES = `
Examples:
  meshctl status
  meshctl status --context prod -o json
  meshctl status --wait --timeout 5m

CONFIG: since a proxy last took configuration. BEHIND: what it has not acknowledged, and for how long.
ISTIO'S: running pods that Istio has, by its own annotations.
VERSION: what a proxy says, else the tag of its image.
LEFT OUT: running pods that are not captured because they, or their pod templates, say so.
Long lists name the first and count the others, those of -o json too: "more" says how many.
WARNINGS: works, and is not to stay so, such as proxies of the minor version before the controller's.
Exit code 0: everything is in force everywhere, whatever the warnings. 1: something is not; PROBLEMS says what. 69: no controller answers.`;

/** Problems listed of each kind; more are counted. */
const PROBLEMS_SHOWN_MAX = 20;
const POLL_MS = 1_000;

interface StatusOptions {
  readonly output: OutputFormat;
  readonly wait: boolean;
  readonly timeout: number;
}

export function registerStatus(program: Command): void {
  addTargetOptions(program.command('status'))
    .summary('show controllers, agents, waypoints, certificates, namespaces and what is wrong')
    .description(
      'Shows whether configuration is in force everywhere, and what is not as it should be.',
    )
    .option('--wait', 'until nothing is wrong', false)
    .addOption(timeoutOption('--timeout <time>', 'how long to wait, as 90s or 5m', 300_000))
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(meshStatus);
}

async function meshStatus(options: StatusOptions, command: Command): Promise<void> {
  const mesh = meshOf(command);
  const status = options.wait
    ? await healthyStatus(mesh, options.timeout)
    : await collectStatus(mesh);
  printAs(options.output, status, () => describe(status));
  if (status.problems.length > 0) process.exitCode = EXIT.finding;
}

/** The last status when time is up. Also waits for a controller that does not answer yet. */
async function healthyStatus(mesh: MeshTarget, timeoutMs: number): Promise<MeshStatus> {
  const deadline = systemClock.now() + timeoutMs;
  let said = '';
  for (;;) {
    const isLast = systemClock.now() >= deadline;
    try {
      const status = await collectStatus(mesh);
      const [first] = status.problems;
      if (first === undefined || isLast) return status;
      if (first !== said) note(`waiting: ${first}`);
      said = first;
    } catch (error) {
      if (isLast || !(error instanceof UserError)) throw error;
      if (error.message !== said) note(`waiting: ${error.message}`);
      said = error.message;
    }
    await systemClock.sleep(POLL_MS);
  }
}

function describe(status: MeshStatus): string {
  const { controller, proxies, certificates, namespaces, versions } = status;
  const { nowMs, version, startedAtMs, changedAtMs, trustDomain, objects, refused, root } =
    controller;
  const head = [
    `controller    ${version}, up ${formatSpan(nowMs - startedAtMs)}, trust domain ${trustDomain}`,
    `configuration ${objects} objects${refused === 0 ? '' : `, ${refused} refused`}, changed ${formatSpan(nowMs - changedAtMs)} ago`,
    `certificates  ${describeCertificates(certificates, nowMs)}; root valid for ${formatSpan(root.notAfterMs - nowMs)}`,
  ].join('\n');
  const hasVersions = versions.length > 0;
  const rows = [...proxies]
    .sort(byName)
    .map((proxy) => [
      ...proxyRow(proxy, nowMs),
      configAge(proxy, nowMs),
      ...(hasVersions ? [versionOfProxy(proxy, versions) ?? '-'] : []),
    ]);
  const proxyTable =
    rows.length === 0
      ? 'no agent and no waypoint is known'
      : table([...PROXY_COLUMNS, 'CONFIG', ...(hasVersions ? ['VERSION'] : [])], rows);
  return [
    head,
    ...replicaTable(status),
    proxyTable,
    namespaceTable(namespaces, status.more?.namespaces),
    ...listed('LEFT OUT', namespaces.flatMap(leftOutLines)),
    ...listed('WARNINGS', status.warnings),
    listed('PROBLEMS', status.problems, status.more?.problems)[0] ?? 'everything is in force',
  ].join('\n\n');
}

/** `uncounted`: there are that many more, which nobody names here. */
function listed(title: string, lines: readonly string[], uncounted = 0): readonly string[] {
  const shown = lines.slice(0, PROBLEMS_SHOWN_MAX);
  const more = lines.length - shown.length + uncounted;
  const where = uncounted === 0 ? 'has all' : `has ${lines.length}`;
  const rest = more > 0 ? [`and ${more} more (-o json ${where})`] : [];
  return lines.length === 0 ? [] : [[title, ...shown, ...rest].join('\n')];
}

/** Only where there is more to say of them than the first line does. */
function replicaTable({ replicas, controller: { nowMs } }: MeshStatus): readonly string[] {
  if (replicas.every(({ isLeader }) => isLeader === undefined)) return [];
  const rows = replicas.map(({ name, node, version, isReady, isLeader, startedAtMs }) => [
    name,
    isReady ? 'ready' : 'not ready',
    isLeader === true ? 'leads' : 'serves',
    startedAtMs === undefined ? '-' : formatSpan(nowMs - startedAtMs),
    version ?? '-',
    node ?? '-',
  ]);
  return [table(['CONTROLLER', 'STATE', 'ROLE', 'UP', 'VERSION', 'NODE'], rows)];
}

function namespaceTable(namespaces: readonly EnrolledNamespace[], more = 0): string {
  if (namespaces.length === 0) return 'no namespace is enrolled (meshctl enroll NAMESPACE)';
  const isBesideIstio = namespaces.some(({ istio }) => istio !== undefined);
  const rows = namespaces.map(({ namespace, mode, pods, captured, bypassed, istio }) => [
    namespace,
    bypassed === undefined ? mode : 'bypassed',
    String(pods),
    String(captured),
    ...(isBesideIstio ? [describeIstio(istio)] : []),
  ]);
  const columns = ['NAMESPACE', 'MODE', 'PODS', 'CAPTURED'];
  const shown = table([...columns, ...(isBesideIstio ? ["ISTIO'S"] : [])], rows);
  return more === 0 ? shown : `${shown}\nand ${more} more`;
}

/** `shop: a, b: its label istio.io/dataplane-mode is none`. */
function leftOutLines({ namespace, leftOut = {}, more }: EnrolledNamespace): readonly string[] {
  return Object.entries(leftOut).map(
    ([why, pods]) => `${namespace}: ${some(pods, more?.leftOut?.[why])}: ${why}`,
  );
}

/** `2 ambient, 1 sidecar`. */
function describeIstio(istio: EnrolledNamespace['istio']): string {
  if (istio === undefined) return '-';
  const { ambient, sidecars } = istio;
  return [
    ...(ambient === 0 ? [] : [`${ambient} ambient`]),
    ...(sidecars === 0 ? [] : [`${sidecars} ${sidecars === 1 ? 'sidecar' : 'sidecars'}`]),
  ].join(', ');
}

function describeCertificates(
  { count, expired, next }: MeshStatus['certificates'],
  nowMs: number,
): string {
  const outdated = expired === 0 ? '' : `, ${expired} expired`;
  const soonest =
    next === undefined ? '' : `, next expiry in ${formatSpan(next.notAfterMs - nowMs)}`;
  return `${count}${outdated}${soonest}`;
}
